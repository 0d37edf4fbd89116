"""A workflow is started: one request of its workflow id, whoever sends it.

Clients start, signal with start and update with start; a parent starts its child. The current run of the workflow id,
if there is one, decides by the policies of the request whether a new run begins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import WorkflowIdConflictPolicy, WorkflowIdReusePolicy
from temporalio.api.sdk.v1 import UserMetadata
from temporalio.api.workflowservice.v1 import (
    SignalWithStartWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
)

from perdure.core.errors import Rejected
from perdure.core.execution.decision import BusinessIdRequest, Decision
from perdure.core.execution.environment import Environment
from perdure.core.execution.request import Request
from perdure.core.workflow.child_start import with_parent
from perdure.core.workflow.effects import StartChild
from perdure.core.workflow.lifecycle.close import replaced_by
from perdure.core.workflow.lifecycle.start_policy import (
    Start,
    StartNew,
    UseCurrent,
    decide,
    started_attributes,
)
from perdure.core.workflow.options_update import AttachRequest
from perdure.core.workflow.signals import Signal
from perdure.core.workflow.state import Run
from perdure.core.workflow.tasks.start import TaskStarted, held_task
from perdure.core.workflow.updates import AdmitUpdate, UpdateStatus, status


class StartedBy(NamedTuple):
    """The workflow whose child is started."""

    child: StartChild
    namespace_id: str
    execution: WorkflowExecution


@dataclass(frozen=True, slots=True)
class StartReply:
    run_id: str
    first_run_id: str
    #: This request (or the one that it repeats) started the run.
    started: bool
    status: int
    #: The request id was attached to a run that it did not start.
    attached: bool = False
    #: The first workflow task, for the client that starts the run: it has a worker too.
    task: TaskStarted | None = None
    #: How far the update has come that came with the start, or why it was refused.
    update: UpdateStatus | Rejected | None = None


@dataclass(frozen=True, slots=True)
class StartWorkflow(BusinessIdRequest[StartReply]):
    """Start a run, or use the one there is. The policies are complete (no unspecified ones)."""

    namespace_id: str
    request: StartWorkflowExecutionRequest | SignalWithStartWorkflowExecutionRequest
    reuse: WorkflowIdReusePolicy.ValueType
    conflict: WorkflowIdConflictPolicy.ValueType
    #: Reaches the run that answers, whether it is new or not.
    signal: Signal | None = None
    #: Attached to the run there is, if it is used.
    attach: AttachRequest | None = None
    #: Admitted by the run that answers.
    update: AdmitUpdate | None = None
    parent: StartedBy | None = None

    def decide(
        self, current: Run | None, *, now_ns: int, environment: Environment
    ) -> Decision[StartReply]:
        """Return what the policies mean. Raises `Rejected` if they forbid a new run."""
        if self.update is not None and _is_updatable(current, self, self.update.update_id):
            return Decision(self._updated, after=(self.update,))
        if _is_started_child(current, self.parent):
            return Decision(self._used)
        decision = decide(
            None if current is None else current.state,
            # Temporal: a start that comes with a signal is known by the signal alone.
            request_id=self.request.request_id if self.signal is None else "",
            reuse=self.reuse,
            conflict=self.conflict,
            now_ns=now_ns,
            limits=environment.limits,
        )
        if isinstance(decision, UseCurrent):
            return self._use(decision)
        return self._begin(current, decision, now_ns, environment)

    def _use(self, decision: UseCurrent) -> Decision[StartReply]:
        if decision.is_retry:
            return Decision(self._started, after=_requests(self.update))
        return Decision(self._used, after=_requests(self.signal, self.attach, self.update))

    def _begin(
        self, current: Run | None, decision: StartNew, now_ns: int, environment: Environment
    ) -> Decision[StartReply]:
        run_id = environment.fresh_id()
        request, parent = self.request, self.parent
        attributes = started_attributes(request, run_id, now_ns=now_ns, limits=environment.limits)
        metadata = request.user_metadata if request.HasField("user_metadata") else None
        if parent is not None:
            with_parent(attributes, parent.child, parent.namespace_id, parent.execution)
            if parent.child.user_metadata:
                metadata = UserMetadata.FromString(parent.child.user_metadata)
        start = Start(
            namespace_id=self.namespace_id,
            namespace=request.namespace,
            workflow_id=request.workflow_id,
            run_id=run_id,
            attributes=attributes,
            request_id=request.request_id,
            user_metadata=metadata,
            links=tuple(request.links),
            signal=self.signal,
            eager_nonce=environment.fresh_nonce() if parent is None else 0,
        )

        def begin() -> Start:
            # A run that has made room has new events by now.
            return (
                start
                if current is None
                else replace(start, after_task_id=current.state.last_task_id)
            )

        before = (replaced_by(run_id),) if decision.terminate_current else ()
        return Decision(self._started, run_id, before, begin, _requests(self.update))

    # Replies

    def _started(self, run: Run, replies: Sequence[object]) -> StartReply:
        return StartReply(
            run.state.run_id,
            run.state.first_run_id,
            True,
            run.state.status,
            task=self._first_task(run),
            update=_update_status(replies),
        )

    def _used(self, run: Run, replies: Sequence[object]) -> StartReply:
        if self.update is None:
            _raise_refusal(replies)
        return StartReply(
            run.state.run_id,
            run.state.first_run_id,
            False,
            run.state.status,
            attached=bool(self.attach and self.attach.request_id),
            update=_update_status(replies) if self.update is not None else None,
        )

    def _updated(self, run: Run, replies: Sequence[object]) -> StartReply:
        # Temporal: the answer names no first run if the workflow was there already.
        return StartReply(
            run.state.run_id, "", False, run.state.status, update=_update_status(replies)
        )

    def _first_task(self, run: Run) -> TaskStarted | None:
        """Return the first workflow task if it was started and this request asks for it, also when it is repeated."""
        request = self.request
        if not isinstance(request, StartWorkflowExecutionRequest):
            return None
        if not request.request_eager_execution:
            return None
        task = held_task(run)
        is_first = task is not None and task.started_event_id == 3 and task.ref.attempt == 1
        return task if is_first else None


def child_policies(
    reuse: WorkflowIdReusePolicy.ValueType,
) -> tuple[WorkflowIdReusePolicy.ValueType, WorkflowIdConflictPolicy.ValueType]:
    """Return what a child's one policy means, which knows of a run that is there as well as of one that was."""
    if reuse == WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING:
        return (
            WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
            WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING,
        )
    return reuse, WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_FAIL


def _requests(*requests: Request[object] | None) -> tuple[Request[object], ...]:
    return tuple(each for each in requests if each is not None)


def _raise_refusal(replies: Sequence[object]) -> None:
    if replies and isinstance(replies[-1], Rejected):
        raise replies[-1]


def _update_status(replies: Sequence[object]) -> UpdateStatus | Rejected | None:
    last = replies[-1] if replies else None
    assert last is None or isinstance(last, UpdateStatus | Rejected)
    return last


def _is_started_child(current: Run | None, parent: StartedBy | None) -> bool:
    """Return whether an earlier try has started this child."""
    if current is None or parent is None or current.state.parent is None:
        return False
    known, child = current.state.parent, parent.child
    return (
        known.run_id in (parent.execution.run_id, *child.base_run_ids)
        and known.workflow_id == parent.execution.workflow_id
        and known.initiated_event_id == child.initiated_event_id
    )


def _is_updatable(current: Run | None, start: StartWorkflow, update_id: str) -> bool:
    """Return whether the update is for the run there is, without a start."""
    if current is None:
        return False
    known = status(current, update_id)
    if known is not None and (current.state.is_open or known.completed_event_id):
        return True
    if not current.state.is_open:
        return False
    is_retry = start.request.request_id in current.state.request_ids
    uses_existing = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
    return is_retry or start.conflict == uses_existing
