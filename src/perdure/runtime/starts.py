"""A start request meets the run that its workflow id has: begin a new one, or use that one, as the policies say."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from temporalio.api.enums.v1 import WorkflowIdConflictPolicy, WorkflowIdReusePolicy
from temporalio.api.sdk.v1 import UserMetadata
from temporalio.api.workflowservice.v1 import (
    SignalWithStartWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
)

from perdure.core.errors import Rejected
from perdure.core.execution.key import ExecutionKey
from perdure.core.workflow.lifecycle.execution import replaced_by
from perdure.core.workflow.lifecycle.start_policy import (
    Start,
    StartNew,
    UseCurrent,
    decide,
    started_attributes,
)
from perdure.core.workflow.options_update import AttachRequest
from perdure.core.workflow.returning import ReturnWorkflowTask
from perdure.core.workflow.signals import Signal
from perdure.core.workflow.tasks.start import TaskStarted, held_task
from perdure.core.workflow.updates import AdmitUpdate, status
from perdure.runtime.call_notes import note_start
from perdure.runtime.delivery.giving_back import GiveBacks, give_back
from perdure.runtime.delivery.updates import UpdateReply, Updates, Wait
from perdure.runtime.replies import StartFailed, StartReply, UpdateFailed
from perdure.runtime.shard.cached import CachedExecution
from perdure.runtime.shard.engine import Engine

StartRequest = StartWorkflowExecutionRequest | SignalWithStartWorkflowExecutionRequest


class Starts:
    def __init__(
        self,
        engine: Engine,
        updates: Updates,
        fresh_id: Callable[[], str],
        nonce: Callable[[], int],
    ) -> None:
        """`nonce` draws a number that names one handing-out of a task; never 0."""
        self._engine = engine
        self._updates = updates
        self._fresh_id = fresh_id
        self._nonce = nonce

    async def start(
        self,
        namespace_id: str,
        request: StartRequest,
        *,
        reuse: WorkflowIdReusePolicy.ValueType,
        conflict: WorkflowIdConflictPolicy.ValueType,
        signal: Signal | None = None,
        attach: AttachRequest | None = None,
        give_backs: GiveBacks | None = None,
    ) -> StartReply:
        """Start a run, or use the one there is; `signal` reaches whichever it is. Raises `Rejected`.

        The caller calls `give_backs` if the first task, which it may be given, is lost, also if this raises.
        """
        key = self._engine.key(namespace_id, request.workflow_id)
        live = current = await self._engine.find(key)
        note_start(request.workflow_type.name, request.task_queue.name)
        try:
            reply, live = self._start(
                key,
                current,
                request,
                reuse=reuse,
                conflict=conflict,
                signal=signal,
                attach=attach,
            )
            if reply.started and reply.task is not None and give_backs is not None:
                back = ReturnWorkflowTask(reply.task.ref.nonce)
                give_backs.append(partial(give_back, self._engine, live.key, back))
        finally:
            # Also a refusal rests on the run that there is.
            await self._engine.until_durable(live)
        return reply

    async def update_with_start(
        self,
        namespace_id: str,
        request: StartWorkflowExecutionRequest,
        *,
        reuse: WorkflowIdReusePolicy.ValueType,
        conflict: WorkflowIdConflictPolicy.ValueType,
        update: AdmitUpdate,
        wait: Wait,
    ) -> tuple[StartReply, UpdateReply]:
        """Update the run there is, or start one and update it, in one step. Raises `StartFailed` or `UpdateFailed`."""
        key = self._engine.key(namespace_id, request.workflow_id)
        current: CachedExecution | None = None
        try:
            current = await self._engine.find(key)
            known = _updatable(current, request, update.update_id, conflict)
            if known is None:
                reply, live = self._start(key, current, request, reuse=reuse, conflict=conflict)
            else:
                live = known
                # Temporal: of a run that was there already the first run is not told.
                reply = StartReply(live.key.run_id, "", False, live.state.status)
        except Rejected as refusal:
            # The refusal rests on the current run, which may not be durable yet.
            await self._engine.until_durable(current)
            raise StartFailed(refusal) from refusal
        try:
            return reply, await self._updates.admit(live, update, wait)
        except Rejected as refusal:
            raise UpdateFailed(refusal, started=reply.started) from refusal

    def _start(
        self,
        key: ExecutionKey,
        current: CachedExecution | None,
        request: StartRequest,
        *,
        reuse: WorkflowIdReusePolicy.ValueType,
        conflict: WorkflowIdConflictPolicy.ValueType,
        signal: Signal | None = None,
        attach: AttachRequest | None = None,
    ) -> tuple[StartReply, CachedExecution]:
        engine = self._engine
        now_ns, limits = engine.clock.now_ns(), engine.environment_of(key.namespace_id).limits
        decision = decide(
            current.state if current is not None else None,
            # Temporal: a start that comes with a signal is known by the signal alone.
            request_id=request.request_id if signal is None else "",
            reuse=reuse,
            conflict=conflict,
            now_ns=now_ns,
            limits=limits,
        )
        if not isinstance(decision, StartNew):
            assert current is not None
            return self._use(current, decision, request, signal, attach), current
        run_id = self._fresh_id()
        live = begin(
            engine,
            key,
            current,
            decision,
            Start(
                namespace_id=key.namespace_id,
                namespace=request.namespace,
                workflow_id=key.business_id,
                run_id=run_id,
                attributes=started_attributes(request, run_id, now_ns=now_ns, limits=limits),
                request_id=request.request_id,
                user_metadata=_user_metadata(request),
                links=tuple(request.links),
                signal=signal,
                eager_nonce=self._nonce(),
            ),
        )
        task = _first_task(live, request)
        return StartReply(run_id, run_id, True, live.state.status, task=task), live

    def _use(
        self,
        current: CachedExecution,
        decision: UseCurrent,
        request: StartRequest,
        signal: Signal | None,
        attach: AttachRequest | None,
    ) -> StartReply:
        is_retry = decision.is_retry
        if not is_retry:
            for news in (signal, attach):
                if news is not None:
                    self._engine.advance(current, news)
        return StartReply(
            current.key.run_id,
            current.state.first_run_id,
            is_retry,
            current.state.status,
            attached=bool(attach and attach.request_id) and not is_retry,
            task=_first_task(current, request) if is_retry else None,
        )


def begin(
    engine: Engine,
    key: ExecutionKey,
    current: CachedExecution | None,
    decision: StartNew,
    start: Start,
) -> CachedExecution:
    """Begin the next run of a workflow id; `current` makes room for it if that was decided."""
    if decision.terminate_current:
        assert current is not None
        engine.advance(current, replaced_by(start.run_id))
    run_number = 1
    if current is not None:
        run_number = current.run_number + 1
        start = replace(start, after_task_id=current.state.last_task_id)
    return engine.create(key._replace(run_id=start.run_id), run_number, start)


def _updatable(
    current: CachedExecution | None,
    request: StartWorkflowExecutionRequest,
    update_id: str,
    conflict: WorkflowIdConflictPolicy.ValueType,
) -> CachedExecution | None:
    """Return the run that the update is for, if it is not to be started first."""
    if current is None:
        return None
    known = status(current.run, update_id)
    if known is not None and (current.state.is_open or known.completed_event_id):
        return current
    if not current.state.is_open:
        return None
    is_retry = request.request_id in current.state.request_ids
    uses_existing = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
    return current if is_retry or conflict == uses_existing else None


def _first_task(live: CachedExecution, request: StartRequest) -> TaskStarted | None:
    """Return the first workflow task if it was handed out and this request asks for it, also when it is repeated."""
    if not isinstance(request, StartWorkflowExecutionRequest):
        return None
    if not request.request_eager_execution:
        return None
    task = held_task(live.run)
    is_first = task is not None and task.started_event_id == 3 and task.ref.attempt == 1
    return task if is_first else None


def _user_metadata(request: StartRequest) -> UserMetadata | None:
    return request.user_metadata if request.HasField("user_metadata") else None
