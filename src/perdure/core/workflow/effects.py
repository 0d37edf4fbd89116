"""The effects of a workflow's transition, in four families: they follow once its records are durable."""

from typing import NamedTuple, get_args

from perdure.core.errors import Rejected


class Fairness(NamedTuple):
    """With whom a task shares the attention of workers, and how much of it they get. 0: as much as one."""

    key: str
    weight: float


def fairness_of(key: str, weight: float) -> Fairness | None:
    return Fairness(key, weight) if key or weight else None


class DispatchWorkflowTask(NamedTuple):
    """A worker may pick up the workflow task. Stale when the run has another, or it is started."""

    task_queue: str
    #: To be tried first; empty if there is none.
    sticky_queue: str
    scheduled_event_id: int
    attempt: int
    #: Key of the run's priority; 0 if it has none.
    priority_key: int = 0
    fairness: Fairness | None = None


class DispatchActivityTask(NamedTuple):
    """A worker may pick up this attempt of an activity. Stale when it is started or has ended."""

    task_queue: str
    scheduled_event_id: int
    attempt: int
    #: Grows when somebody has changed what is to be started.
    stamp: int = 0
    #: Key of the activity's own priority, or else of the run's; 0 if neither has one.
    priority_key: int = 0
    fairness: Fairness | None = None


class DispatchQuery(NamedTuple):
    """The query can be answered without a workflow task: any worker of the queue may take it."""

    query_id: str
    task_queue: str
    #: To be tried first; empty if there is none.
    sticky_queue: str
    #: Serialized `WorkflowQuery`.
    query: bytes
    #: How long the worker of the sticky queue has to take it.
    sticky_schedule_to_start_ns: int = 0


class AnswerQuery(NamedTuple):
    """The query's caller can be answered now: with `result` or, when that is None, with `refusal`."""

    query_id: str
    #: Serialized `WorkflowQueryResult`.
    result: bytes | None
    refusal: Rejected | None = None


class AnswerUpdate(NamedTuple):
    """An update has come to `stage`: its callers can be answered, with `refusal` if there is one."""

    update_id: str
    #: `UpdateWorkflowExecutionLifecycleStage`.
    stage: int
    #: Serialized `Outcome`; empty before it is completed.
    outcome: bytes
    refusal: Rejected | None = None


class StartChild(NamedTuple):
    """Start a child. To be answered with `children.RecordChildStarted` or `RecordChildNotStarted`."""

    initiated_event_id: int
    workflow_id: str
    request_id: str
    #: Serialized `StartChildWorkflowExecutionInitiatedEventAttributes`.
    attributes: bytes
    #: Serialized `UserMetadata`.
    user_metadata: bytes
    root_workflow_id: str
    root_run_id: str
    #: Serialized `Priority` of the parent, which the child's own one overrides.
    priority: bytes
    #: Runs that the parent is a reset of: a child that one of them has started is this one's, too.
    base_run_ids: tuple[str, ...] = ()
    #: Name of the parent's namespace.
    parent_namespace: str = ""
    #: Where the child is to be, if that is another namespace than the parent's.
    namespace_id: str = ""


class TellParent(NamedTuple):
    """This run has closed. To be acknowledged with `children.AcknowledgeParentNotified`."""

    #: In the parent.
    initiated_event_id: int
    workflow_id: str
    run_id: str
    first_run_id: str
    #: The serialized last event of this run.
    close_event: bytes
    #: The parent's namespace, if that is another one.
    namespace_id: str = ""


class AskChild(NamedTuple):
    """Has this child, which an earlier run of the parent's history has started, closed meanwhile?

    To be answered with `children.RecordChildClosed` or `children.AcknowledgeChildOpen`.
    """

    initiated_event_id: int
    workflow_id: str
    #: The child's first run.
    run_id: str
    #: The child's namespace, if that is another one.
    namespace_id: str = ""


class ReleaseChild(NamedTuple):
    """The parent has closed: do as its policy says. To be acknowledged with `children.AcknowledgeChildReleased`."""

    initiated_event_id: int
    workflow_id: str
    #: The child's first run.
    run_id: str
    #: `ParentClosePolicy`.
    policy: int
    #: The child's namespace, if that is another one.
    namespace_id: str = ""


class SignalExternal(NamedTuple):
    """Signal another run. To be answered with `external_workflows.RecordExternalSignaled`."""

    initiated_event_id: int
    request_id: str
    #: Serialized `SignalExternalWorkflowExecutionInitiatedEventAttributes`.
    attributes: bytes


class CancelExternal(NamedTuple):
    """Ask another run to stop. To be answered with `external_workflows.RecordExternalCancelRequested`."""

    initiated_event_id: int
    request_id: str
    #: Serialized `RequestCancelExternalWorkflowExecutionInitiatedEventAttributes`.
    attributes: bytes


class InvokeCallback(NamedTuple):
    """Tell somebody outside how the run has ended. To be answered with `callbacks.RecordAttempt`."""

    #: Place in `RunState.callbacks`.
    number: int
    #: How many attempts have ended before.
    attempt: int
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


#: A task for a queue: a worker polls for it. The entry in the queue is a hint; the run decides.
QueueTask = DispatchWorkflowTask | DispatchActivityTask | DispatchQuery
#: A request to another execution: repeated until the answer is recorded.
OutgoingRequest = (
    StartChild | AskChild | TellParent | ReleaseChild | SignalExternal | CancelExternal
)
#: A call to the outside: repeated until the receiver takes it, or refuses it for good.
OutboundCall = InvokeCallback
#: An answer to a caller who waits on this node. Nobody repeats it: a caller who has lost it asks again.
CallerAnswer = AnswerQuery | AnswerUpdate
Effect = QueueTask | OutgoingRequest | OutboundCall | CallerAnswer

QUEUE_TASKS: tuple[type, ...] = get_args(QueueTask)
OUTGOING_REQUESTS = get_args(OutgoingRequest)
OUTBOUND_CALLS: tuple[type, ...] = (OutboundCall,)
CALLER_ANSWERS: tuple[type, ...] = get_args(CallerAnswer)
