"""A worker sends what it may not: its task fails, with the reason, and nothing that it sent is carried out.

The words are what workers and their users see; they are the real server's.
"""

from typing import Any

import pytest
from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import CommandType, WorkflowTaskFailedCause

from perdure.core.limits import Limits
from perdure.core.workflow.effects import DispatchWorkflowTask
from tests.build.commands import (
    bare,
    cancel_activity,
    cancel_timer,
    command,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    record_marker,
    schedule_activity,
    start_timer,
)
from tests.core.workflow.run import OneRun

JSON_OBJECT = {"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "e30="}
LONG = "x" * 1001
NEGATIVE = "-1s"
AN = "invalid history builder state for action: add-"


def activity(**fields: Any) -> Command:
    return schedule_activity("a", "q", **fields)


def marker(name: str = "m") -> Command:
    return record_marker(name)


BAD: dict[str, list[tuple[Command, str]]] = {
    "BadScheduleActivityAttributes": [
        (
            bare("SCHEDULE_ACTIVITY_TASK"),
            "ScheduleActivityTaskCommandAttributes is not set on ScheduleActivityTaskCommand.",
        ),
        (activity(task_queue=None), "taskQueue is not set"),
        (activity(task_queue={}), "missing task queue name"),
        (activity(task_queue={"name": LONG}), "taskQueue length exceeds limit"),
        (
            activity(task_queue={"name": "/_sys/q"}),
            "task queue name cannot start with reserved prefix /_sys/",
        ),
        (
            activity(task_queue={"name": "temporal-sys-per-ns-tq"}),
            "cannot use internal per-namespace task queue:temporal-sys-per-ns-tq"
            " (in parent component task queue: q)",
        ),
        (activity(activity_id=""), "activityId is not set"),
        (activity(activity_type=None), "activityType is not set"),
        (activity(activity_id=LONG), "activityId exceeds length limit. Length=1001 Limit=1000"),
        (
            activity(activity_type={"name": LONG}),
            "activityType exceeds length limit. Length=1001 Limit=1000",
        ),
        *(
            (activity(**{name: NEGATIVE}), f"invalid {shown}: negative duration")
            for name, shown in (
                ("schedule_to_close_timeout", "ScheduleToCloseTimeout"),
                ("schedule_to_start_timeout", "ScheduleToStartTimeout"),
                ("start_to_close_timeout", "StartToCloseTimeout"),
                ("heartbeat_timeout", "HeartbeatTimeout"),
            )
        ),
        (
            activity(start_to_close_timeout=None),
            "a valid StartToCloseTimeout or ScheduleToCloseTimeout must be set on the activity."
            " ActivityId=a ActivityType=Activity",
        ),
        *(
            (activity(retry_policy=policy), message)
            for policy, message in (
                (
                    {"initial_interval": NEGATIVE},
                    "invalid InitialInterval set on retry policy: negative duration",
                ),
                (
                    {"backoff_coefficient": 0.5},
                    "BackoffCoefficient cannot be less than 1 on retry policy.",
                ),
                (
                    {"maximum_interval": NEGATIVE},
                    "invalid MaximumInterval set on retry policy: negative duration",
                ),
                (
                    {"initial_interval": "5s", "maximum_interval": "4s"},
                    "MaximumInterval cannot be less than InitialInterval on retry policy.",
                ),
                (
                    {"maximum_attempts": -1},
                    "MaximumAttempts cannot be negative on retry policy.",
                ),
                (
                    {"non_retryable_error_types": ["TemporalTimeout:Foo"]},
                    "Invalid timeout type value: Foo.",
                ),
            )
        ),
        (
            activity(priority={"priority_key": -1}),
            "invalid priorities: priority key can't be negative",
        ),
    ],
    "ScheduleActivityDuplicateId": [
        (
            schedule_activity("old activity", "q"),
            AN + "activitytask-scheduled-event, ActivityID: old activity",
        ),
    ],
    "BadRequestCancelActivityAttributes": [
        (
            bare("REQUEST_CANCEL_ACTIVITY_TASK"),
            "RequestCancelActivityTaskCommandAttributes is not set on"
            " RequestCancelActivityTaskCommand.",
        ),
        *(
            (
                cancel_activity(event_id),
                "ScheduledEventId is not set on RequestCancelActivityTaskCommand.",
            )
            for event_id in (0, -5)
        ),
        *(
            (
                cancel_activity(event_id),
                AN + f"activitytask-cancel-requested-event, ScheduledEventID: {event_id}",
            )
            for event_id in (3, 99)
        ),
    ],
    "BadStartTimerAttributes": [
        (bare("START_TIMER"), "StartTimerCommandAttributes is not set on StartTimerCommand."),
        (start_timer("", 1), "TimerId is not set on StartTimerCommand."),
        (
            start_timer(LONG, 1),
            "TimerId on StartTimerCommand exceeds length limit."
            f" TimerId={LONG} Length=1001 Limit=1000",
        ),
        (
            start_timer("t", -1),
            "An invalid StartToFireTimeout is set on StartTimerCommand: negative duration."
            " TimerId=t",
        ),
        (
            start_timer("{id}", -1),
            "An invalid StartToFireTimeout is set on StartTimerCommand: negative duration."
            " TimerId={id}",
        ),
    ],
    "StartTimerDuplicateId": [
        (start_timer("old timer", 1), AN + "timer-started-event, TimerID: old timer"),
        (start_timer("new timer", 1), AN + "timer-started-event, TimerID: new timer"),
    ],
    "BadCancelTimerAttributes": [
        (bare("CANCEL_TIMER"), "CancelTimerCommandAttributes is not set on CancelTimerCommand."),
        (cancel_timer(""), "TimerId is not set on CancelTimerCommand."),
        (
            cancel_timer(LONG),
            "TimerId on CancelTimerCommand exceeds length limit."
            f" TimerId={LONG} Length=1001 Limit=1000",
        ),
        (cancel_timer("zz"), AN + "timer-canceled-event, TimerID: zz"),
    ],
    "BadRecordMarkerAttributes": [
        (bare("RECORD_MARKER"), "RecordMarkerCommandAttributes is not set on RecordMarkerCommand."),
        (marker(""), "MarkerName is not set on RecordMarkerCommand."),
        (
            marker(LONG),
            "MarkerName on RecordMarkerCommand exceeds length limit."
            f" MarkerName={LONG} Length=1001 Limit=1000",
        ),
    ],
    "BadCompleteWorkflowExecutionAttributes": [
        (
            bare("COMPLETE_WORKFLOW_EXECUTION"),
            "CompleteWorkflowExecutionCommandAttributes is not set on"
            " CompleteWorkflowExecutionCommand.",
        ),
    ],
    "BadFailWorkflowExecutionAttributes": [
        (
            bare("FAIL_WORKFLOW_EXECUTION"),
            "FailWorkflowExecutionCommandAttributes is not set on FailWorkflowExecutionCommand.",
        ),
        (
            command("FAIL_WORKFLOW_EXECUTION"),
            "Failure is not set on FailWorkflowExecutionCommand.",
        ),
    ],
    "BadCancelWorkflowExecutionAttributes": [
        (
            bare("CANCEL_WORKFLOW_EXECUTION"),
            "CancelWorkflowExecutionCommandAttributes is not set on"
            " CancelWorkflowExecutionCommand.",
        ),
    ],
    "BadContinueAsNewAttributes": [
        (
            bare("CONTINUE_AS_NEW_WORKFLOW_EXECUTION"),
            "ContinueAsNewWorkflowExecutionCommandAttributes is not set on"
            " ContinueAsNewWorkflowExecutionCommand.",
        ),
        (
            continue_as_new(workflow_type={"name": LONG}),
            "WorkflowType on ContinueAsNewWorkflowExecutionCommand exceeds length limit."
            f" WorkflowType={LONG} Length=1001 Limit=1000",
        ),
        (
            continue_as_new(workflow_run_timeout=NEGATIVE),
            "Invalid WorkflowRunTimeout on ContinueAsNewWorkflowExecutionCommand: negative"
            ' duration. WorkflowType=T TaskQueue=name:"q" kind:TASK_QUEUE_KIND_NORMAL',
        ),
        (
            continue_as_new(workflow_task_timeout=NEGATIVE),
            "Invalid WorkflowTaskTimeout on ContinueAsNewWorkflowExecutionCommand: negative"
            ' duration. WorkflowType=T TaskQueue=name:"q" kind:TASK_QUEUE_KIND_NORMAL',
        ),
        (
            continue_as_new(backoff_start_interval=NEGATIVE),
            "Invalid BackoffStartInterval on ContinueAsNewWorkflowExecutionCommand: negative"
            ' duration. WorkflowType=T TaskQueue=name:"q" kind:TASK_QUEUE_KIND_NORMAL',
        ),
        (
            continue_as_new(retry_policy={"maximum_attempts": -1}),
            "invalid WorkflowRetryPolicy on ContinueAsNewWorkflowExecutionCommand:"
            " MaximumAttempts cannot be negative on retry policy.. WorkflowType=T"
            ' TaskQueue=name:"q" kind:TASK_QUEUE_KIND_NORMAL',
        ),
        (
            continue_as_new(task_queue={"name": "temporal-sys-per-ns-x"}),
            "error validating ContinueAsNewWorkflowExecutionCommand TaskQueue: cannot use internal"
            " per-namespace task queue:temporal-sys-per-ns-x (in parent component task queue: q)."
            ' WorkflowType=T TaskQueue=name:"temporal-sys-per-ns-x" kind:TASK_QUEUE_KIND_NORMAL',
        ),
    ],
    "BadModifyWorkflowPropertiesAttributes": [
        (
            bare("MODIFY_WORKFLOW_PROPERTIES"),
            "ModifyWorkflowPropertiesCommandAttributes is not set on"
            " ModifyWorkflowPropertiesCommand.",
        ),
        (
            command("MODIFY_WORKFLOW_PROPERTIES"),
            "UpsertedMemo is not set on ModifyWorkflowPropertiesCommand.",
        ),
        (
            command("MODIFY_WORKFLOW_PROPERTIES", upserted_memo={}),
            "UpsertedMemo.Fields is not set on ModifyWorkflowPropertiesCommand.",
        ),
    ],
    "BadSearchAttributes": [
        (
            bare("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES"),
            "UpsertWorkflowSearchAttributesCommandAttributes is not set on"
            " UpsertWorkflowSearchAttributesCommand.",
        ),
        (
            command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES"),
            "SearchAttributes is not set on UpsertWorkflowSearchAttributesCommand.",
        ),
        (
            command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", search_attributes={}),
            "IndexedFields is not set on UpsertWorkflowSearchAttributesCommand.",
        ),
        *(
            (
                command(
                    "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES",
                    search_attributes={"indexed_fields": {name: JSON_OBJECT}},
                ),
                message,
            )
            for name, message in (
                ("Nope", "Namespace ns has no mapping defined for search attribute Nope"),
                ("RunId", "RunId attribute can't be set in SearchAttributes"),
                (
                    "TemporalChangeVersion",
                    "invalid value for search attribute TemporalChangeVersion"
                    " of type KeywordList: map[]",
                ),
            )
        ),
    ],
    "BadUpdateWorkflowExecutionMessage": [
        (
            bare("PROTOCOL_MESSAGE"),
            "ProtocolMessageCommandAttributes is not set on ProtocolMessageCommand.",
        ),
        (command("PROTOCOL_MESSAGE"), "MessageID is not set on ProtocolMessageCommand."),
        (
            command("PROTOCOL_MESSAGE", message_id="zz"),
            "ProtocolMessageCommand referenced absent message ID zz",
        ),
    ],
}
CASES = [
    pytest.param(cause, wrong, message, id=f"{cause}: {message[:60]}")
    for cause, cases in BAD.items()
    for wrong, message in cases
]


def busy() -> OneRun:
    """Return a run with a timer and an activity, whose worker holds a task."""
    run = OneRun()
    run.work(start_timer("old timer", 60), schedule_activity("old activity", "q"))
    run.signal()
    run.take()
    return run


@pytest.mark.parametrize(("cause", "wrong", "message"), CASES)
def test_one_bad_command_undoes_them_all(cause: str, wrong: Command, message: str) -> None:
    run = busy()
    run.news()
    timers, activities = dict(run.state.timers), dict(run.state.activities)
    asked, sent = sorted(run.timers), len(run.effects)
    good = [start_timer("new timer", 1), schedule_activity("new activity", "q"), marker()]
    completion = run.completion(*good, wrong, sticky_queue="s", force_new_task=True)
    assert run.refused(completion) == f"INVALID_ARGUMENT: {cause}: {message}"
    assert run.news() == "9 WorkflowTaskStarted 10 WorkflowTaskFailed"
    failed = run.event(10)
    assert (failed.scheduled_event_id, failed.started_event_id) == (8, 9)
    assert failed.identity == "worker"
    name = WorkflowTaskFailedCause.Name(failed.cause).removeprefix("WORKFLOW_TASK_FAILED_CAUSE_")
    assert name.replace("_", "").lower() == cause.lower()
    assert failed.failure.message == f"{cause}: {message}"
    assert failed.failure.HasField("server_failure_info")
    assert (run.state.timers, run.state.activities) == (timers, activities)
    assert sorted(run.timers) == asked
    assert run.effects[sent:] == [DispatchWorkflowTask("q", "", 11, 2)]
    assert run.history().endswith("10 WorkflowTaskFailed 11 WorkflowTaskScheduled")
    run.work(complete_workflow())
    assert not run.state.is_open


@pytest.mark.parametrize(("cause", "wrong", "message"), CASES[:3])
def test_a_task_that_fails_again_is_left_to_time_out(
    cause: str, wrong: Command, message: str
) -> None:
    run = busy()
    run.refused(run.completion(wrong))
    run.take()
    run.news()
    rows = len(run.journal.rows)
    assert run.refused(run.completion(marker(), wrong)) == f"INVALID_ARGUMENT: {cause}: {message}"
    assert len(run.journal.rows) == rows
    assert run.history().endswith("12 WorkflowTaskStarted"), "the worker still holds it"
    run.complete(complete_workflow())
    assert not run.state.is_open


@pytest.mark.parametrize(
    ("commands", "message"),
    [
        (
            [complete_workflow(), start_timer("t", 1)],
            "invalid command sequence: [CompleteWorkflowExecution, StartTimer],"
            " command CompleteWorkflowExecution must be the last command.",
        ),
        (
            [marker(), fail_workflow(), continue_as_new()],
            "invalid command sequence: [RecordMarker, FailWorkflowExecution,"
            " ContinueAsNewWorkflowExecution], command FailWorkflowExecution must be the last"
            " command.",
        ),
        ([Command()], "unknown command type: Unspecified"),
        (
            [Command(command_type=CommandType.ValueType(99))],
            "unknown command type: 99",
        ),
    ],
)
def test_some_mistakes_leave_the_task_with_its_worker(
    commands: list[Command], message: str
) -> None:
    run = busy()
    rows = len(run.journal.rows)
    assert run.refused(run.completion(*commands)) == f"INVALID_ARGUMENT: {message}"
    assert len(run.journal.rows) == rows
    run.complete(complete_workflow())


MUCH = {"payloads": [{"data": "eHh4" * 100}]}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            activity(input=MUCH),
            "BadScheduleActivityAttributes:"
            " ScheduleActivityTaskCommandAttributes.Input exceeds size limit.",
        ),
        (
            record_marker("m", details={"k": MUCH}),
            "BadRecordMarkerAttributes: RecordMarkerCommandAttributes.Details exceeds size limit.",
        ),
        (
            complete_workflow("x" * 300),
            "BadScheduleActivityAttributes:"
            " CompleteWorkflowExecutionCommandAttributes.Result exceeds size limit.",
        ),
        (
            fail_workflow("x" * 300),
            "BadFailWorkflowExecutionAttributes:"
            " FailWorkflowExecutionCommandAttributes.Failure exceeds size limit.",
        ),
        (
            continue_as_new(input=MUCH),
            "BadContinueAsNewAttributes:"
            " ContinueAsNewWorkflowExecutionCommandAttributes. Input exceeds size limit.",
        ),
        (
            continue_as_new(memo={"fields": {"k": MUCH["payloads"][0]}}),
            "BadContinueAsNewAttributes:"
            " ContinueAsNewWorkflowExecutionCommandAttributes. Memo exceeds size limit.",
        ),
        (
            command(
                "MODIFY_WORKFLOW_PROPERTIES",
                upserted_memo={"fields": {"k": MUCH["payloads"][0]}},
            ),
            "BadModifyWorkflowPropertiesAttributes:"
            " ModifyWorkflowPropertiesCommandAttributes exceeds size limit.",
        ),
    ],
)
def test_what_is_too_big_ends_the_run(wrong: Command, message: str) -> None:
    run = OneRun(limits=Limits(blob_size=100, memo_size=100))
    run.take()
    assert run.refused(run.completion(marker(), wrong)) == f"INVALID_ARGUMENT: {message}"
    assert run.history().endswith(
        "3 WorkflowTaskStarted 4 WorkflowTaskFailed 5 WorkflowExecutionTerminated"
    )
    terminated = run.event(5)
    assert (terminated.reason, terminated.identity) == (message, "history-service")


def test_an_activity_policy_of_one_attempt_is_not_looked_at() -> None:
    run = OneRun()
    run.work(activity(retry_policy={"maximum_attempts": 1, "backoff_coefficient": 0.5}))
    assert run.history().endswith("5 ActivityTaskScheduled")
