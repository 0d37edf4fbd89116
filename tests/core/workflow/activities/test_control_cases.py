"""Operators' calls, on activities in every state with all timeouts: what is promised holds after each (`promises.py`)."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from temporalio.api.activity.v1 import ActivityOptions

from perdure.core.errors import Rejected
from perdure.core.times import SECOND_NS
from perdure.core.workflow.activities.attempts import StartActivity
from perdure.core.workflow.activities.control import (
    PauseActivities,
    ResetActivities,
    Selected,
    UnpauseActivities,
)
from perdure.core.workflow.activities.option_changes import ChangeActivities
from perdure.core.workflow.effects import DispatchActivityTask
from perdure.core.workflow.lifecycle.pause import Pause, Unpause
from tests.activity_cases import (
    CALLS,
    JITTER_S,
    QUEUE_MASK,
    RETRY_POLICY,
    STATES,
    Call,
    Case,
    every_case,
    pairwise,
)
from tests.build.commands import cancel_activity, failure, payloads, schedule_activity
from tests.core.workflow.run import OneRun

_A = Selected("a")
_CHANGE = Call(
    "change", {"activity_options": {"heartbeat_timeout": "9s"}, "update_mask": "heartbeatTimeout"}
)


def request(call: Call) -> object:
    fields = dict(call.fields)
    jitter_ns = int(JITTER_S * SECOND_NS) if fields.pop("jitter", None) else 0
    match call.what:
        case "pause":
            return PauseActivities(_A, "operator", "why", "")
        case "unpause":
            flags = {name: name in fields for name in ("reset_attempts", "reset_heartbeat")}
            return UnpauseActivities(_A, **flags, jitter_ns=jitter_ns, chance=0.5)
        case "reset":
            return ResetActivities(
                _A,
                reset_heartbeat="reset_heartbeat" in fields,
                keep_paused="keep_paused" in fields,
                restore_options="restore_original_options" in fields,
                jitter_ns=jitter_ns,
                chance=0.5,
            )
    if "restore_original" in fields:
        return ChangeActivities(_A, None, None, restores=True)
    options = ParseDict(fields["activity_options"], ActivityOptions())
    if fields["update_mask"] == QUEUE_MASK:
        options.task_queue.name = "elsewhere"
    return ChangeActivities(_A, options, frozenset(fields["update_mask"].split(",")))


def do(run: OneRun, action: str) -> None:
    match action:
        case "poll":
            poll(run)
        case "beat":
            run.heartbeat(payloads("progress"))
        case "fail":
            run.fail_activity(failure())
        case "fail soon":
            run.fail_activity(failure(next_retry_delay="0.05s"))
            run.wait(0.05)
        case "cancel":
            run.signal()
            run.work(cancel_activity(5))
        case "pause" | "reset":
            run.ask(request(Call(action, {})))
        case "reset but paused":
            run.ask(request(Call("reset", {"keep_paused": True})))
        case "change":
            run.ask(request(_CHANGE))
        case _:
            raise AssertionError(action)


def poll(run: OneRun) -> None:
    """Take what was offered last."""
    offer = run.dispatched(DispatchActivityTask)[-1]
    start = StartActivity(
        offer.scheduled_event_id, offer.attempt, "worker", "poll", stamp=offer.stamp
    )
    run.ask(start)


@functools.cache
def prepared(
    state: str,
    timeouts: tuple[tuple[str, Any], ...],
    run_timeouts: tuple[tuple[str, Any], ...],
    is_paused: bool,
) -> OneRun:
    run = OneRun(**dict(run_timeouts))
    run.work(schedule_activity("a", "q", retry_policy=RETRY_POLICY, **dict(timeouts)))
    for action in STATES[state]:
        do(run, action)
    if is_paused:
        run.ask(Pause("operator", "why", "pause-id"))
    return run


@contextmanager
def named(case: Case) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error.add_note(f"played: {case.name}")
        raise


def play(case: Case) -> OneRun:
    run = prepared(
        case.state,
        tuple(case.timeouts.items()),
        tuple(case.run_timeouts.items()),
        case.run_is_paused,
    ).fork()
    try:
        run.ask(request(case.call))
    except Rejected:
        pass
    return run


def goes_on(run: OneRun) -> None:
    """Let operators set it going, and workers do what there is to do: nothing is stuck."""
    if run.state.is_paused:
        run.ask(Unpause("operator", "enough", "unpause-id"))
    run.ask(request(Call("unpause", {})))
    [activity] = run.state.activities.values()
    if not activity.started_at_ns:
        run.wait(max(0, activity.scheduled_at_ns - run.now_ns) / SECOND_NS)
        poll(run)
    run.complete_activity()
    assert run.last("ActivityTaskCompleted")


def comes_to_an_end(run: OneRun) -> None:
    """Let a node crash, and no worker be there any more: what has a timeout is ended by it."""
    run.crash()
    run.wait(5000)
    for activity in run.state.activities.values():
        assert activity.paused_at_ns or not (
            activity.started_at_ns or activity.schedule_to_start_ns
        )


@pytest.mark.parametrize("what", sorted({call.what for call in CALLS}))
def test_an_activity_goes_on_after_an_operators_call(what: str) -> None:
    """Every pair of values of the product."""
    for case in pairwise():
        if case.call.what == what:
            with named(case):
                goes_on(play(case))


@pytest.mark.slow
@pytest.mark.parametrize("what", sorted({call.what for call in CALLS}))
def test_timeouts_strike_after_an_operators_call(what: str) -> None:
    """Every pair of values of the product."""
    for case in pairwise():
        if case.call.what == what:
            with named(case):
                comes_to_an_end(play(case))


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
def test_operators_calls_keep_what_is_promised(state: str) -> None:
    """The whole product."""
    for case in every_case():
        if case.state == state:
            with named(case):
                play(case).crash()
