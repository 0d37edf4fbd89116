"""The options of a child: refused ones, and defaults that are filled in."""

from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from perdure.core.limits import Limits
from tests.build.commands import command, json_payloads, start_child
from tests.core.workflow.run import OneRun

LONG = "x" * 1001
ON = "on StartChildWorkflowExecutionCommand"
WHERE = "WorkflowId=c WorkflowType=Child Namespace=ns"
PAYLOAD = json_payloads("value")["payloads"][0]


def initiated(limits: Limits | None = None, **fields: Any) -> dict[str, Any]:
    """Return how a child is asked for that is wanted like this."""
    run = OneRun(limits=limits)
    run.work(start_child("c", "q2", **fields))
    shown = MessageToDict(
        run.last("StartChildWorkflowExecutionInitiated"), preserving_proto_field_name=True
    )
    assert isinstance(shown, dict)
    return shown


def test_what_is_not_said_is_filled_in() -> None:
    assert initiated() == {
        "namespace": "ns",
        "namespace_id": "ns-id",
        "workflow_id": "c",
        "workflow_type": {"name": "Child"},
        "task_queue": {"name": "q2", "kind": "TASK_QUEUE_KIND_NORMAL"},
        "workflow_run_timeout": "0s",
        "workflow_task_timeout": "10s",
        "parent_close_policy": "PARENT_CLOSE_POLICY_TERMINATE",
        "workflow_id_reuse_policy": "WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE",
        "workflow_task_completed_event_id": "4",
    }


def test_what_is_said_is_asked_for() -> None:
    said = {
        "control": "c",
        "cron_schedule": "@every 1h",
        "inherit_build_id": True,
        "parent_close_policy": "PARENT_CLOSE_POLICY_ABANDON",
        "workflow_id_reuse_policy": "WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE",
        "workflow_execution_timeout": "9s",
        "workflow_run_timeout": "8s",
        "workflow_task_timeout": "7s",
        "input": json_payloads("input"),
        "header": {"fields": {"h": PAYLOAD}},
        "memo": {"fields": {"m": PAYLOAD}},
        "search_attributes": {"indexed_fields": {"Color": PAYLOAD}},
        "priority": {"priority_key": 3},
    }
    shown = initiated(**said)
    assert {key: shown[key] for key in said if key != "search_attributes"} == {
        key: value for key, value in said.items() if key != "search_attributes"
    }
    assert "Color" in shown["search_attributes"]["indexed_fields"]


def test_retries_have_defaults() -> None:
    assert initiated(retry_policy={"maximum_attempts": 3})["retry_policy"] == {
        "initial_interval": "1s",
        "backoff_coefficient": 2.0,
        "maximum_interval": "100s",
        "maximum_attempts": 3,
    }


def test_no_timeout_is_longer_than_the_one_around_it() -> None:
    shown = initiated(workflow_execution_timeout="5s", workflow_run_timeout="8s")
    assert (shown["workflow_run_timeout"], shown["workflow_task_timeout"]) == ("5s", "5s")
    assert initiated(workflow_execution_timeout="50s")["workflow_run_timeout"] == "50s"
    shown = initiated(workflow_run_timeout="3s", workflow_task_timeout="4s")
    assert shown["workflow_task_timeout"] == "3s"


def test_it_goes_to_the_queue_of_its_parent_and_an_empty_memo_is_none() -> None:
    shown = initiated(task_queue=None, memo={})
    assert shown["task_queue"]["name"] == "q"
    assert "memo" not in shown


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"namespace": "elsewhere"}, "cross namespace commands are not allowed"),
        (
            {"workflow_id": ""},
            f"Required field WorkflowId is not set {ON}. WorkflowType=Child Namespace=ns",
        ),
        (
            {"workflow_type": {}},
            f"Required field WorkflowType is not set {ON}. WorkflowId=c Namespace=ns",
        ),
        ({"workflow_id": "\0"}, f"WorkflowId {ON} must not contain a NUL character."),
        ({"workflow_type": {"name": "\0"}}, f"WorkflowType {ON} must not contain a NUL character."),
        (
            {"workflow_id": LONG},
            f"WorkflowId {ON} exceeds length limit. WorkflowId={LONG} Length=1001 Limit=1000"
            " WorkflowType=Child Namespace=ns",
        ),
        (
            {"workflow_type": {"name": LONG}},
            f"WorkflowType {ON} exceeds length limit. WorkflowId=c WorkflowType={LONG} Length=1001"
            " Limit=1000 Namespace=ns",
        ),
        (
            {"workflow_execution_timeout": "-1s"},
            f"Invalid WorkflowExecutionTimeout {ON}: negative duration. {WHERE}",
        ),
        (
            {"workflow_run_timeout": "-1s"},
            f"Invalid WorkflowRunTimeout {ON}: negative duration. {WHERE}",
        ),
        (
            {"workflow_task_timeout": "-1s"},
            f"Invalid WorkflowTaskTimeout {ON}: negative duration. {WHERE}",
        ),
        (
            {"retry_policy": {"maximum_attempts": -1}},
            f"invalid WorkflowRetryPolicy {ON}: MaximumAttempts cannot be negative on retry policy.."
            f" {WHERE}",
        ),
        ({"cron_schedule": "no"}, f"invalid CronSchedule {ON}: invalid CronSchedule.. {WHERE}"),
        (
            {"task_queue": {"name": LONG}},
            f"invalid TaskQueue {ON}: taskQueue length exceeds limit. {WHERE}"
            f' TaskQueue=name:"{LONG}" kind:TASK_QUEUE_KIND_NORMAL',
        ),
        *(
            (
                {"task_queue": {"name": name}},
                f"invalid TaskQueue {ON}: cannot use internal per-namespace task queue:{name}"
                f" (in parent component task queue: q). {WHERE}"
                f' TaskQueue=name:"{name}" kind:TASK_QUEUE_KIND_NORMAL',
            )
            for name in ("temporal-sys-per-ns-tq", "temporal-sys-worker-controller-per-ns-tq")
        ),
        (
            {"input": json_payloads("x" * 300)},
            "StartChildWorkflowExecutionCommandAttributes. Input exceeds size limit.",
        ),
        (
            {"memo": {"fields": {"m": json_payloads("x" * 500)["payloads"][0]}}},
            "StartChildWorkflowExecutionCommandAttributes. Memo exceeds size limit.",
        ),
    ],
)
def test_bad_wishes_are_refused(fields: dict[str, Any], message: str) -> None:
    run = OneRun(limits=Limits(blob_size=200, memo_size=400))
    run.take()
    wanted: dict[str, Any] = {
        "workflow_id": "c",
        "workflow_type": {"name": "Child"},
        "task_queue": {"name": "q2"},
    }
    request = run.completion(command("START_CHILD_WORKFLOW_EXECUTION", **(wanted | fields)))
    assert run.refused(request) == f"INVALID_ARGUMENT: BadStartChildExecutionAttributes: {message}"
    assert not run.state.children


def test_unknown_search_attributes_are_refused() -> None:
    run = OneRun()
    run.take()
    fields = {"search_attributes": {"indexed_fields": {"Unknown": PAYLOAD}}}
    assert run.refused(run.completion(start_child("c", "q", **fields))).startswith(
        "INVALID_ARGUMENT: BadSearchAttributes: Namespace ns has no mapping defined"
    )


def test_so_many_at_once_and_no_more() -> None:
    run = OneRun(limits=Limits(max_pending_children=2))
    run.work(start_child("a", "q"), start_child("b", "q"))
    run.signal()
    run.take()
    assert run.refused(run.completion(start_child("c", "q"))) == (
        "INVALID_ARGUMENT: PendingChildWorkflowsLimitExceeded: the number of pending child workflow"
        " executions, 2, has reached the per-workflow limit of 2"
    )
    run = OneRun(limits=Limits(max_pending_children=0))
    run.work(start_child("a", "q"))
    assert run.state.children
