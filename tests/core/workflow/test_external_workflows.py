"""A workflow signals another one, or asks it to stop, and hears what came of it."""

from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import (
    CancelExternalWorkflowExecutionFailedCause,
    SignalExternalWorkflowExecutionFailedCause,
)

from perdure.core.limits import Limits
from perdure.core.workflow.effects import CancelExternal, SignalExternal
from perdure.core.workflow.external_workflows import (
    RecordExternalCancelRequested,
    RecordExternalSignaled,
)
from tests.build.commands import bare, command, complete_workflow, json_payloads, start_child
from tests.core.workflow.run import OneRun

RUN_ID = "0198c0de-0000-7000-8000-000000000000"
TARGET = {"workflow_id": "other", "run_id": RUN_ID}
LONG = "x" * 1001
DELIVERED = SignalExternalWorkflowExecutionFailedCause.ValueType(0)
CANCEL_DELIVERED = CancelExternalWorkflowExecutionFailedCause.ValueType(0)
NO_TARGET = SignalExternalWorkflowExecutionFailedCause.ValueType(1)
NO_TARGET_TO_CANCEL = CancelExternalWorkflowExecutionFailedCause.ValueType(1)


def tell(**fields: Any) -> Command:
    wanted = {"execution": TARGET, "signal_name": "s", "control": "c"} | fields
    return command("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION", **wanted)


def stop(**fields: Any) -> Command:
    wanted = {**TARGET, "control": "c", "reason": "why"} | fields
    return command("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION", **wanted)


def shown(attributes: Any) -> dict[str, Any]:
    return MessageToDict(attributes, preserving_proto_field_name=True)


def test_a_signal_is_sent_as_the_worker_wants_it() -> None:
    run = OneRun()
    header = {"fields": {"h": json_payloads("header")["payloads"][0]}}
    run.work(
        tell(namespace="ns", input=json_payloads("in"), header=header, child_workflow_only=True)
    )
    assert run.history().endswith("5 SignalExternalWorkflowExecutionInitiated")
    initiated = run.event(5)
    assert shown(initiated) == {
        "workflow_task_completed_event_id": "4",
        "namespace": "ns",
        "namespace_id": "ns-id",
        "workflow_execution": TARGET,
        "signal_name": "s",
        "control": "c",
        "child_workflow_only": True,
        "input": json_payloads("in"),
        "header": header,
    }
    [outgoing] = run.dispatched(SignalExternal)
    assert outgoing.initiated_event_id == 5
    assert outgoing.request_id
    assert outgoing.attributes == initiated.SerializeToString()


def test_a_request_to_stop_is_sent_as_the_worker_wants_it() -> None:
    run = OneRun()
    run.work(stop(namespace="ns", child_workflow_only=True))
    assert run.history().endswith("5 RequestCancelExternalWorkflowExecutionInitiated")
    initiated = run.event(5)
    assert shown(initiated) == {
        "workflow_task_completed_event_id": "4",
        "namespace": "ns",
        "namespace_id": "ns-id",
        "workflow_execution": TARGET,
        "control": "c",
        "reason": "why",
        "child_workflow_only": True,
    }
    [outgoing] = run.dispatched(CancelExternal)
    assert (outgoing.initiated_event_id, outgoing.attributes) == (5, initiated.SerializeToString())


ANSWERS = [
    (tell(), RecordExternalSignaled(5, DELIVERED), "ExternalWorkflowExecutionSignaled"),
    (tell(), RecordExternalSignaled(5, NO_TARGET), "SignalExternalWorkflowExecutionFailed"),
    (
        stop(),
        RecordExternalCancelRequested(5, CANCEL_DELIVERED),
        "ExternalWorkflowExecutionCancelRequested",
    ),
    (
        stop(),
        RecordExternalCancelRequested(5, NO_TARGET_TO_CANCEL),
        "RequestCancelExternalWorkflowExecutionFailed",
    ),
]


@pytest.mark.parametrize(("sent", "answer", "event"), ANSWERS)
def test_the_workflow_hears_of_it_once(sent: Command, answer: object, event: str) -> None:
    run = OneRun()
    run.work(sent)
    run.crash()
    [effect] = run.effects
    assert effect.request_id == run.state.external_workflows[5].request_id  # type: ignore[union-attr]
    run.ask(answer)
    assert run.history().endswith(f"6 {event} 7 WorkflowTaskScheduled")
    attributes = shown(run.event(6))
    wanted = {
        "namespace": "ns",
        "namespace_id": "ns-id",
        "workflow_execution": TARGET,
        "initiated_event_id": "5",
    }
    if sent.HasField("signal_external_workflow_execution_command_attributes"):
        wanted["control"] = "c"
    if "Failed" in event:
        wanted["cause"] = attributes["cause"]
        assert "NOT_FOUND" in attributes["cause"]
    assert attributes == wanted
    assert not run.state.external_workflows
    history = run.history()
    run.ask(answer)
    assert run.history() == history


@pytest.mark.parametrize(("sent", "answer", "event"), ANSWERS)
def test_an_answer_waits_for_the_worker(sent: Command, answer: object, event: str) -> None:
    run = OneRun()
    run.work(sent)
    run.signal()
    run.take()
    run.ask(answer)
    assert event not in run.history()
    run.complete()
    assert run.history().endswith(f"10 {event} 11 WorkflowTaskScheduled")


@pytest.mark.parametrize(("sent", "answer", "_"), ANSWERS)
def test_a_closed_run_does_not_hear_of_it(sent: Command, answer: object, _: str) -> None:
    run = OneRun()
    run.work(sent)
    run.terminate()
    history = run.history()
    run.ask(answer)
    assert run.history() == history


S = "SignalExternalWorkflowExecutionCommand"
C = "RequestCancelExternalWorkflowExecutionCommand"
BAD_SIGNAL = [
    (bare("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION"), f"{S}Attributes is not set on {S}."),
    (command("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION"), f"Execution is not set on {S}."),
    (tell(namespace="elsewhere"), "cross namespace commands are not allowed"),
    (
        tell(execution={"run_id": RUN_ID}),
        f"WorkflowId is not set on {S}. Namespace= RunId={RUN_ID} SignalName=s",
    ),
    (
        tell(execution={"workflow_id": LONG}),
        f"WorkflowId on {S} exceeds length limit. WorkflowId={LONG} Length=1001 Limit=1000"
        " Namespace= RunId= SignalName=s",
    ),
    (
        tell(execution={"workflow_id": "o", "run_id": "r"}, namespace="ns"),
        f"Invalid RunId set on {S}. WorkflowId=o Namespace=ns RunId=r SignalName=s",
    ),
    (
        tell(signal_name=""),
        f"SignalName is not set on {S}. WorkflowId=other Namespace= RunId={RUN_ID}",
    ),
    (tell(input=json_payloads("x" * 200)), f"{S}Attributes.Input exceeds size limit."),
]
BAD_CANCEL = [
    (bare("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION"), f"{C}Attributes is not set on {C}."),
    (stop(namespace="elsewhere"), "cross namespace commands are not allowed"),
    (stop(workflow_id=""), f"WorkflowId is not set on {C}. Namespace= RunId={RUN_ID}"),
    (
        stop(run_id="r", namespace="ns"),
        f"Invalid RunId set on {C}. WorkflowId=other RunId=r Namespace=ns",
    ),
]


@pytest.mark.parametrize(
    ("cause", "wrong", "message"),
    [("BadSignalWorkflowExecutionAttributes", *each) for each in BAD_SIGNAL]
    + [("BadRequestCancelExternalWorkflowExecutionAttributes", *each) for each in BAD_CANCEL],
)
def test_bad_commands_are_refused(cause: str, wrong: Command, message: str) -> None:
    run = OneRun(limits=Limits(blob_size=100, max_id_length=1000))
    run.take()
    assert run.refused(run.completion(wrong)) == f"INVALID_ARGUMENT: {cause}: {message}"
    assert not run.state.external_workflows


def test_a_child_is_not_asked_to_stop_in_the_task_that_starts_it() -> None:
    run = OneRun()
    run.take()
    refused = run.refused(run.completion(start_child("other", "q"), stop()))
    assert "Start and RequestCancel for child workflow is not allowed in same workflow task." in (
        refused
    )
    assert f"WorkflowId=other RunId={RUN_ID} Namespace=" in refused
    run.work(start_child("another", "q"), stop())
    run.signal()
    run.work(stop(workflow_id="another"))
    assert len(run.dispatched(CancelExternal)) == 2


def test_so_many_at_once_and_no_more() -> None:
    run = OneRun(limits=Limits(max_pending_signals=2, max_pending_cancels=1))
    run.work(tell(), tell(), stop())
    run.signal()
    run.take()
    assert run.refused(run.completion(tell())) == (
        "INVALID_ARGUMENT: PendingSignalsLimitExceeded: the number of pending signals to external"
        " workflows, 2, has reached the per-workflow limit of 2"
    )
    run.take()
    assert run.refused(run.completion(stop())) == (
        "INVALID_ARGUMENT: PendingRequestCancelLimitExceeded: the number of pending requests to"
        " cancel external workflows, 1, has reached the per-workflow limit of 1"
    )


def test_no_limit_is_none() -> None:
    run = OneRun(limits=Limits(max_pending_signals=0, max_pending_cancels=0))
    run.work(tell(), stop())
    assert len(run.state.external_workflows) == 2


def test_nothing_is_sent_by_what_closes_the_run() -> None:
    run = OneRun()
    run.work(tell(), stop(), complete_workflow())
    assert not run.state.external_workflows
