"""A run whose state has become too large, whatever its history is, is terminated."""

import pytest

from perdure.core.errors import Rejected
from perdure.core.limits import Limits
from perdure.core.workflow.state_size import approximate_size
from tests.build.commands import (
    complete_workflow,
    json_payloads,
    payloads,
    record_marker,
    schedule_activity,
    upsert_memo,
)
from tests.core.workflow.run import OneRun
from tests.differential.scripts.limits import json_fields

LIMITS = Limits(state_size=3000)
TOO_LARGE = "Workflow mutable state size exceeds limit."
LARGE = "x" * 3000


def test_what_makes_the_state_too_large_does_not_happen() -> None:
    run = OneRun(limits=LIMITS)
    run.work(schedule_activity("a", "q"))
    run.take_activity()
    with pytest.raises(Rejected) as refused:
        run.heartbeat(payloads(LARGE))
    assert refused.value.message == TOO_LARGE
    assert run.history().endswith(" WorkflowExecutionTerminated")
    assert run.last("WorkflowExecutionTerminated").reason == TOO_LARGE


def test_what_only_history_holds_does_not_count() -> None:
    run = OneRun(limits=LIMITS, input=json_payloads(LARGE))
    run.work(record_marker("m", details={"a": json_payloads(LARGE)}), schedule_activity("a", "q"))
    run.signal("s" * 3000)
    assert "Terminated" not in run.history()


def test_what_is_let_go_of_makes_room() -> None:
    run = OneRun(limits=LIMITS)
    run.work(schedule_activity("a", "q"), schedule_activity("b", "q"))
    run.take_activity("a")
    run.heartbeat(payloads("x" * 2000), "a")
    run.complete_activity("a")
    run.take_activity("b")
    run.heartbeat(payloads("x" * 2000), "b")
    assert "Terminated" not in run.history()


def test_what_closes_the_run_happens_and_is_refused() -> None:
    run = OneRun(limits=LIMITS)
    run.take()
    memo = upsert_memo(**json_fields(LARGE))
    with pytest.raises(Rejected, match=TOO_LARGE):
        run.complete(memo, complete_workflow())
    assert run.history().endswith(" WorkflowExecutionCompleted")


def test_a_state_is_measured_only_when_it_has_grown_enough() -> None:
    run = OneRun()
    for n in range(20):
        run.signal("s", f"{n}")
    largest = run.run.state_size_max
    assert largest is not None
    assert approximate_size(run.run) < largest, "the inputs have grown, and nothing was measured"
    assert largest < Limits().state_size
