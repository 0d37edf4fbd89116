"""Delivers requests to other executions: start a child, tell the parent of the close, signal, ask to cancel.

The receiver recognises a repeated request by its ids.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import (
    CancelExternalWorkflowExecutionFailedCause,
    ParentClosePolicy,
    SignalExternalWorkflowExecutionFailedCause,
    StartChildWorkflowExecutionFailedCause,
)
from temporalio.api.history.v1 import (
    HistoryEvent,
    RequestCancelExternalWorkflowExecutionInitiatedEventAttributes,
    SignalExternalWorkflowExecutionInitiatedEventAttributes,
)

from perdure.core.errors import Code, Rejected
from perdure.core.execution.key import ExecutionKey
from perdure.core.execution.request import Request
from perdure.core.workflow.cancellation import RequestCancel
from perdure.core.workflow.child_start import start_request
from perdure.core.workflow.children import (
    AcknowledgeChildOpen,
    AcknowledgeChildReleased,
    AcknowledgeParentNotified,
    RecordChildClosed,
    RecordChildNotStarted,
    RecordChildStarted,
)
from perdure.core.workflow.effects import (
    OUTGOING_REQUESTS,
    AskChild,
    CancelExternal,
    OutgoingRequest,
    ReleaseChild,
    SignalExternal,
    StartChild,
    TellParent,
)
from perdure.core.workflow.events import HISTORY_SERVICE
from perdure.core.workflow.external_workflows import (
    RecordExternalCancelRequested,
    RecordExternalSignaled,
)
from perdure.core.workflow.lifecycle.close import Terminate
from perdure.core.workflow.signals import Signal
from perdure.core.workflow.start_workflow import StartedBy, StartWorkflow, child_policies
from perdure.core.workflow.views import ReadChainLink
from perdure.runtime.delivery.under_way import UnderWay
from perdure.runtime.executions import Executions

_Initiated = (
    SignalExternalWorkflowExecutionInitiatedEventAttributes
    | RequestCancelExternalWorkflowExecutionInitiatedEventAttributes
)
ChildNotStarted = StartChildWorkflowExecutionFailedCause
NotSignaled = SignalExternalWorkflowExecutionFailedCause
NotCanceled = CancelExternalWorkflowExecutionFailedCause


class OutgoingRequests:
    def __init__(self, executions: Executions, namespace_name: Callable[[str], str]) -> None:
        """`namespace_name` returns the name of the namespace with an id; empty if it is not there."""
        self._executions = executions
        self._namespace_name = namespace_name
        self._under_way = UnderWay(executions)
        #: Each sends one type of request, and returns what the sender records of the answer.
        self._senders: Mapping[type, Callable[[ExecutionKey, Any], Awaitable[Request[Any]]]] = {
            StartChild: self._start_child,
            AskChild: self._ask_child,
            TellParent: self._tell_parent,
            ReleaseChild: self._release_child,
            SignalExternal: self._signal,
            CancelExternal: self._cancel,
        }
        assert self._senders.keys() == set(OUTGOING_REQUESTS)

    def deliver(self, key: ExecutionKey, outgoing: OutgoingRequest) -> None:
        """Begin, unless it is under way."""
        self._under_way.begin(
            (key.run_id, type(outgoing), outgoing.initiated_event_id),
            lambda generation: self._run(key, outgoing, generation),
        )

    async def stop(self) -> None:
        await self._under_way.stop()

    async def _run(self, key: ExecutionKey, outgoing: OutgoingRequest, generation: int) -> None:
        await self._under_way.until_recorded(
            key, outgoing, generation, lambda: self._carry_out(key, outgoing)
        )

    async def _carry_out(self, key: ExecutionKey, outgoing: OutgoingRequest) -> None:
        answer = await self._senders[type(outgoing)](key, outgoing)
        await self._executions.ask(key, answer)

    # Children

    async def _start_child(self, key: ExecutionKey, outgoing: StartChild) -> Request[None]:
        if self._is_gone(outgoing.namespace_id):
            return RecordChildNotStarted(
                outgoing.initiated_event_id,
                ChildNotStarted.START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_NAMESPACE_NOT_FOUND,
            )
        target = self._executions.key(
            outgoing.namespace_id or key.namespace_id, outgoing.workflow_id
        )
        request = start_request(outgoing)
        reuse, conflict = child_policies(request.workflow_id_reuse_policy)
        parent = StartedBy(outgoing, key.namespace_id, _execution(key))
        start = StartWorkflow(target.namespace_id, request, reuse, conflict, parent=parent)
        try:
            started = await self._executions.ask(target, start)
        except Rejected as refusal:
            if refusal.code is not Code.ALREADY_EXISTS:
                raise
            return RecordChildNotStarted(
                outgoing.initiated_event_id,
                ChildNotStarted.START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_WORKFLOW_ALREADY_EXISTS,
            )
        return RecordChildStarted(outgoing.initiated_event_id, started.reply.first_run_id)

    def _is_gone(self, namespace_id: str) -> bool:
        """Whether this is another namespace than the sender's, and has been deleted meanwhile."""
        return bool(namespace_id) and not self._namespace_name(namespace_id)

    async def _ask_child(self, key: ExecutionKey, outgoing: AskChild) -> Request[Any]:
        """Follow the child to its last run, and see whether that has closed."""
        still_open = AcknowledgeChildOpen(outgoing.initiated_event_id)
        child = self._executions.key(
            outgoing.namespace_id or key.namespace_id, outgoing.workflow_id, outgoing.run_id
        )
        try:
            link = (await self._executions.read(child, ReadChainLink())).reply
            while link.following_run_id:
                child = child._replace(run_id=link.following_run_id)
                link = (await self._executions.read(child, ReadChainLink())).reply
        except Rejected as refusal:
            if refusal.code is not Code.NOT_FOUND:
                raise
            return still_open
        if link.is_open:
            return still_open
        events = await self._executions.last_transition(child)
        if not events:  # It was deleted just now.
            return still_open
        return RecordChildClosed(
            initiated_event_id=outgoing.initiated_event_id,
            workflow_id=outgoing.workflow_id,
            run_id=child.run_id,
            first_run_id=outgoing.run_id,
            event=events[-1],
        )

    async def _tell_parent(self, key: ExecutionKey, outgoing: TellParent) -> Request[None]:
        closed = RecordChildClosed(
            initiated_event_id=outgoing.initiated_event_id,
            workflow_id=key.business_id,
            run_id=key.run_id,
            first_run_id=outgoing.first_run_id,
            event=HistoryEvent.FromString(outgoing.close_event),
        )
        run_id = outgoing.run_id
        while run_id:
            parent = self._executions.key(
                outgoing.namespace_id or key.namespace_id, outgoing.workflow_id, run_id
            )
            run_id = await self._ask_if_there(parent, closed)
        return AcknowledgeParentNotified()

    async def _release_child(self, key: ExecutionKey, outgoing: ReleaseChild) -> Request[None]:
        request: Request[Any]
        if outgoing.policy == ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE:
            request = Terminate(
                reason="by parent close policy",
                details=None,
                identity=HISTORY_SERVICE,
                first_execution_run_id=outgoing.run_id,
                parent=_execution(key),
            )
        else:
            request = RequestCancel(
                reason="",
                identity=HISTORY_SERVICE,
                request_id="",
                first_execution_run_id=outgoing.run_id,
                sender=_execution(key),
                child_only=True,
            )
        child = self._executions.key(
            outgoing.namespace_id or key.namespace_id, outgoing.workflow_id
        )
        await self._ask_if_there(child, request)
        return AcknowledgeChildReleased(outgoing.initiated_event_id)

    async def _ask_if_there(self, key: ExecutionKey, request: Request[Any]) -> Any:
        """Return the answer; False if there is nobody to ask."""
        try:
            return (await self._executions.ask(key, request)).reply
        except Rejected as refusal:
            if refusal.code is not Code.NOT_FOUND:
                raise
            return False

    # Others

    async def _signal(self, key: ExecutionKey, outgoing: SignalExternal) -> Request[None]:
        wanted = SignalExternalWorkflowExecutionInitiatedEventAttributes.FromString(
            outgoing.attributes
        )
        cause = NotSignaled.SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_UNSPECIFIED
        not_there = NotSignaled.SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_EXTERNAL_WORKFLOW_EXECUTION_NOT_FOUND
        if _is_itself(key, wanted):
            return RecordExternalSignaled(outgoing.initiated_event_id, not_there)
        if self._is_gone(wanted.namespace_id):
            return RecordExternalSignaled(
                outgoing.initiated_event_id,
                NotSignaled.SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_NAMESPACE_NOT_FOUND,
            )
        signal = Signal(
            name=wanted.signal_name,
            input=wanted.input if wanted.HasField("input") else None,
            identity=HISTORY_SERVICE,
            request_id=outgoing.request_id,
            header=wanted.header if wanted.HasField("header") else None,
            sender=_execution(key),
            child_only=wanted.child_workflow_only,
        )
        try:
            await self._executions.ask(await self._target(wanted), signal)
        except Rejected as refusal:
            if refusal.code is Code.NOT_FOUND:
                cause = not_there
            elif refusal.code is Code.INVALID_ARGUMENT:
                cause = NotSignaled.SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_SIGNAL_COUNT_LIMIT_EXCEEDED
            else:
                raise
        return RecordExternalSignaled(outgoing.initiated_event_id, cause)

    async def _cancel(self, key: ExecutionKey, outgoing: CancelExternal) -> Request[None]:
        wanted = RequestCancelExternalWorkflowExecutionInitiatedEventAttributes.FromString(
            outgoing.attributes
        )
        not_there = NotCanceled.CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_EXTERNAL_WORKFLOW_EXECUTION_NOT_FOUND
        if self._is_gone(wanted.namespace_id):
            return RecordExternalCancelRequested(
                outgoing.initiated_event_id,
                NotCanceled.CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_NAMESPACE_NOT_FOUND,
            )
        answer = not _is_itself(key, wanted) and await self._ask_if_there(
            await self._target(wanted),
            RequestCancel(
                reason=wanted.reason,
                identity=HISTORY_SERVICE,
                request_id=outgoing.request_id,
                sender=_execution(key),
                initiated_event_id=outgoing.initiated_event_id,
                child_only=wanted.child_workflow_only,
            ),
        )
        return RecordExternalCancelRequested(
            outgoing.initiated_event_id,
            NotCanceled.CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_UNSPECIFIED
            if answer is not False
            else not_there,
        )

    async def _target(self, wanted: _Initiated) -> ExecutionKey:
        """Return whom a signal or a request to stop is for.

        A parent knows its child by its first run, and means the last run of that chain: see docs/surprises.md.
        """
        target = wanted.workflow_execution
        key = self._executions.key(wanted.namespace_id, target.workflow_id, target.run_id)
        if not (wanted.child_workflow_only and target.run_id):
            return key
        current = key._replace(run_id="")
        try:
            link = (await self._executions.read(current, ReadChainLink())).reply
        except Rejected as refusal:
            if refusal.code is not Code.NOT_FOUND:
                raise
            return key
        return current if link.first_run_id == target.run_id else key


def _is_itself(key: ExecutionKey, wanted: _Initiated) -> bool:
    return (wanted.namespace_id, wanted.workflow_execution.workflow_id) == (
        key.namespace_id,
        key.business_id,
    )


def _execution(key: ExecutionKey) -> WorkflowExecution:
    return WorkflowExecution(workflow_id=key.business_id, run_id=key.run_id)
