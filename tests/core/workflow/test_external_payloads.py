"""Payloads that clients keep elsewhere are counted, and nothing that only looks like one."""

from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.limits import Limits
from perdure.core.workflow.external_payloads import External, external_payloads
from perdure.core.workflow.records import encode_events
from tests.build.commands import complete_workflow, schedule_activity, start_timer
from tests.core.workflow.lifecycle.test_reset import reset
from tests.core.workflow.run import OneRun


def elsewhere(*sizes: int) -> dict[str, Any]:
    return {"data": "MQ==", "external_payloads": [{"size_bytes": size} for size in sizes]}


def event(**attributes: Any) -> HistoryEvent:
    return ParseDict(attributes, HistoryEvent(event_id=1))


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, (0, 0)),
        ({"user_metadata": {"summary": elsewhere(3)}}, (1, 3)),
        (
            {
                "workflow_execution_signaled_event_attributes": {
                    "input": {"payloads": [elsewhere(0)]}
                }
            },
            (1, 0),
        ),
        (
            {
                "workflow_execution_failed_event_attributes": {
                    "failure": {
                        "encoded_attributes": elsewhere(1),
                        "cause": {"encoded_attributes": elsewhere(2, 2**40)},
                    }
                }
            },
            (3, 3 + 2**40),
        ),
        (
            {
                "upsert_workflow_search_attributes_event_attributes": {
                    "search_attributes": {"indexed_fields": {"Color": elsewhere(5)}}
                }
            },
            (0, 0),
        ),
        # Field 3 of something else, in the same bytes.
        (
            {
                "activity_task_scheduled_event_attributes": {
                    "retry_policy": {"maximum_interval": "100s"},
                    "input": {"payloads": [{"data": "GgIIZA=="}]},
                }
            },
            (0, 0),
        ),
    ],
)
def test_wherever_they_are(attributes: dict[str, Any], expected: tuple[int, int]) -> None:
    events = [event(**attributes), event(), event(**attributes)]
    assert external_payloads(encode_events(events)) == External(2 * expected[0], 2 * expected[1])


def test_a_payload_that_is_full_of_what_they_look_like() -> None:
    signal = {"input": {"payloads": [elsewhere(7)]}}
    likely = event(workflow_execution_signaled_event_attributes=signal)
    data = likely.workflow_execution_signaled_event_attributes.input.payloads[0]
    data.data = b"\x1a\x02\x08" * 1000
    data.metadata["encoding"] = b"\x1a\x00"
    assert external_payloads(encode_events([likely])) == External(1, 7)


def shown(run: OneRun) -> tuple[int, int]:
    info = run.described().workflow_execution_info
    return info.external_payload_count, info.external_payload_size_bytes


def test_a_run_adds_them_up() -> None:
    run = OneRun(input={"payloads": [elsewhere(100)]})
    assert shown(run) == (1, 100)
    run.work(schedule_activity("a", "q", input={"payloads": [elsewhere(20, 3)]}))
    assert shown(run) == (3, 123)
    run.crash()
    assert shown(run) == (3, 123)


def test_a_reset_counts_them_anew() -> None:
    run = OneRun(input={"payloads": [elsewhere(100)]})
    run.work(schedule_activity("a", "q", input={"payloads": [elsewhere(20)]}))
    assert shown(reset(run, 4)) == (1, 100)


def test_they_are_not_shown_where_they_are_switched_off() -> None:
    run = OneRun(
        limits=Limits(external_payloads_enabled=False), input={"payloads": [elsewhere(100)]}
    )
    run.work(start_timer("t", 1), complete_workflow())
    assert shown(run) == (0, 0)
