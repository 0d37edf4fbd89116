"""The workflow goes on as a new run: same workflow id, empty history."""

from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import (
    CommandType,
    ContinueAsNewInitiator,
    EventType,
    TaskQueueKind,
    WorkflowTaskFailedCause,
)
from temporalio.api.history.v1 import WorkflowExecutionStartedEventAttributes

from perdure.core.execution.concept import Concept
from perdure.core.search_attributes import drop_nothing, with_types
from perdure.core.search_attributes import fault as search_attributes_fault
from perdure.core.times import duration_ns, set_duration
from perdure.core.workflow.events import new_event
from perdure.core.workflow.history_step import BadCommand, HistoryStep
from perdure.core.workflow.lifecycle.close import refuse_unhandled
from perdure.core.workflow.lifecycle.next_run import first_backoff_ns, follow, inherited
from perdure.core.workflow.state import Run
from perdure.core.workflow.validation import (
    NUL,
    check_size,
    duration_fault,
    retry_policy_fault,
    task_queue_fault,
    with_defaults,
)

_CAUSE = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_CONTINUE_AS_NEW_ATTRIBUTES

# What a worker can command


def continue_as_new(step: HistoryStep, command: Command, completed_event_id: int) -> None:
    refuse_unhandled(step)
    name = "ContinueAsNewWorkflowExecutionCommand"
    if not command.HasField("continue_as_new_workflow_execution_command_attributes"):
        raise BadCommand(_CAUSE, f"{name}Attributes is not set on {name}.")
    _complete_attributes(step, command)
    wanted = command.continue_as_new_workflow_execution_command_attributes
    new_run_id = step.environment.fresh_id()
    event = new_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW)
    attributes = event.workflow_execution_continued_as_new_event_attributes
    attributes.new_execution_run_id = new_run_id
    attributes.workflow_type.CopyFrom(wanted.workflow_type)
    attributes.task_queue.CopyFrom(wanted.task_queue)
    for part in (
        "input",
        "header",
        "memo",
        "search_attributes",
        "failure",
        "last_completion_result",
    ):
        if wanted.HasField(part):
            getattr(attributes, part).CopyFrom(getattr(wanted, part))
    drop_nothing(attributes)
    with_types(
        attributes.search_attributes.indexed_fields,
        step.environment.search_attribute_types(step.state.namespace_id),
    )
    attributes.workflow_run_timeout.CopyFrom(wanted.workflow_run_timeout)
    attributes.workflow_task_timeout.CopyFrom(wanted.workflow_task_timeout)
    attributes.workflow_task_completed_event_id = completed_event_id
    if wanted.HasField("backoff_start_interval"):
        attributes.backoff_start_interval.CopyFrom(wanted.backoff_start_interval)
    attributes.initiator = wanted.initiator
    attributes.inherit_build_id = wanted.inherit_build_id
    step.record(event)
    follow(step, new_run_id, _new_started_attributes(step, command, new_run_id))


def _complete_attributes(step: HistoryStep, command: Command) -> None:
    """Check the command, and fill in what the new run takes over from this one."""
    state, limits = step.state, step.environment.limits
    wanted = command.continue_as_new_workflow_execution_command_attributes
    name = "ContinueAsNewWorkflowExecutionCommand"
    if not wanted.workflow_type.name:
        wanted.workflow_type.name = state.workflow_type
    kind = wanted.workflow_type.name
    if NUL in kind or NUL in wanted.task_queue.name:
        raise BadCommand(_CAUSE, f"Names on {name} must not contain a NUL character.")
    if len(kind.encode()) > limits.max_id_length:
        raise BadCommand(
            _CAUSE,
            f"WorkflowType on {name} exceeds length limit."
            f" WorkflowType={kind} Length={len(kind.encode())} Limit={limits.max_id_length}",
        )
    if not wanted.task_queue.name:
        wanted.task_queue.name = state.task_queue
    wanted.task_queue.kind = TaskQueueKind.TASK_QUEUE_KIND_NORMAL
    queue = wanted.task_queue.name
    where = f'WorkflowType={kind} TaskQueue=name:"{queue}" kind:TASK_QUEUE_KIND_NORMAL'
    fault = task_queue_fault(wanted.task_queue, limits.max_id_length, state.task_queue)
    if fault is not None:
        raise BadCommand(_CAUSE, f"error validating {name} TaskQueue: {fault}. {where}")
    for label, timeout in (
        ("WorkflowRunTimeout", wanted.workflow_run_timeout),
        ("WorkflowTaskTimeout", wanted.workflow_task_timeout),
        ("BackoffStartInterval", wanted.backoff_start_interval),
    ):
        fault = duration_fault(timeout)
        if fault is not None:
            raise BadCommand(_CAUSE, f"Invalid {label} on {name}: {fault}. {where}")
    if wanted.HasField("retry_policy"):
        with_defaults(wanted.retry_policy, limits.workflow_retries)
        fault = retry_policy_fault(wanted.retry_policy)
        if fault is not None:
            raise BadCommand(_CAUSE, f"invalid WorkflowRetryPolicy on {name}: {fault}. {where}")
    for part, limit in (("Input", limits.blob_size), ("Memo", limits.memo_size)):
        # Temporal: with this blank.
        message = f"ContinueAsNewWorkflowExecutionCommandAttributes. {part} exceeds size limit."
        check_size(limit, _CAUSE, getattr(wanted, part.lower()), message)
    fault = search_attributes_fault(
        wanted.search_attributes.indexed_fields,
        step.environment.search_attribute_types(state.namespace_id),
        state.namespace,
        limits,
    )
    if fault is not None:
        # Temporal: names are looked up before anything else is looked at.
        is_unknown = fault.startswith("Namespace ")
        raise BadCommand(
            WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SEARCH_ATTRIBUTES,
            fault if is_unknown else f"invalid SearchAttributes on {name}: {fault}. {where}",
        )
    run_timeout = duration_ns(wanted.workflow_run_timeout) or state.run_timeout_ns
    if state.execution_timeout_ns:
        run_timeout = min(run_timeout or state.execution_timeout_ns, state.execution_timeout_ns)
    set_duration(wanted.workflow_run_timeout, run_timeout)
    task_timeout = duration_ns(wanted.workflow_task_timeout) or state.workflow_task_timeout_ns
    task_timeout = min(task_timeout, step.environment.limits.max_workflow_task_timeout_ns)
    if run_timeout:
        task_timeout = min(task_timeout, run_timeout)
    set_duration(wanted.workflow_task_timeout, task_timeout)


def _new_started_attributes(
    step: HistoryStep, command: Command, new_run_id: str
) -> WorkflowExecutionStartedEventAttributes:
    state = step.state
    wanted = command.continue_as_new_workflow_execution_command_attributes
    before = WorkflowExecutionStartedEventAttributes.FromString(state.started_attributes)
    initiator = wanted.initiator or ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_WORKFLOW
    new = inherited(step, before, new_run_id, initiator)
    new.cron_schedule = wanted.cron_schedule
    new.workflow_type.CopyFrom(wanted.workflow_type)
    new.task_queue.CopyFrom(wanted.task_queue)
    new.workflow_run_timeout.CopyFrom(wanted.workflow_run_timeout)
    new.workflow_task_timeout.CopyFrom(wanted.workflow_task_timeout)
    for part in (
        "input",
        "header",
        "memo",
        "search_attributes",
        "retry_policy",
        "last_completion_result",
    ):
        if wanted.HasField(part):
            getattr(new, part).CopyFrom(getattr(wanted, part))
    if wanted.HasField("failure"):
        new.continued_failure.CopyFrom(wanted.failure)
    backoff_ns = first_backoff_ns(step, duration_ns(wanted.backoff_start_interval))
    if backoff_ns or wanted.HasField("backoff_start_interval"):
        set_duration(new.first_workflow_task_backoff, backoff_ns)
    return new


# What must hold


def check(run: Run) -> None:
    assert not run.state.new_run_id or not run.state.is_open


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "continue as new",
    check=check,
    commands={
        CommandType.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION: continue_as_new,
    },
)
