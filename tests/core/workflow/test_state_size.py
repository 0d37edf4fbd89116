"""Every part of a run's state counts with its size: a test notices each part that is dropped from the sum."""

from collections.abc import Callable

import pytest
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.execution.outcome import Outcome
from perdure.core.workflow.activities.control import PAUSE_INFO
from perdure.core.workflow.pending import (
    PendingActivity,
    PendingChild,
    PendingExternal,
    PendingTimer,
    RetryPolicy,
)
from perdure.core.workflow.state import (
    AcceptedUpdate,
    CompletionCallback,
    RequestIdInfo,
    Run,
    RunState,
)
from perdure.core.workflow.state_size import approximate_size, may_exceed, note_growth

LONG, LONG_BYTES = "x" * 1000, b"x" * 1000

Change = Callable[[RunState], object]


def activity(number: int = 0, **fields: str | bytes) -> Change:
    parts = {"activity_id": "", "activity_type": "", "task_queue": "", **fields}
    pending = PendingActivity(
        number,
        attributes=LONG_BYTES,  # History has them.
        retry_policy=RetryPolicy(),
        first_scheduled_at_ns=0,
        scheduled_at_ns=0,
        schedule_to_close_ns=0,
        schedule_to_start_ns=0,
        start_to_close_ns=0,
        heartbeat_timeout_ns=0,
        **parts,  # type: ignore[arg-type]
    )
    return lambda state: state.activities.__setitem__(number, pending)


def child(number: int = 0, workflow_id: str = "", workflow_type: str = "") -> Change:
    pending = PendingChild(number, workflow_id, workflow_type, 0, LONG_BYTES)
    return lambda state: state.children.__setitem__(number, pending)


def external(number: int = 0) -> Change:
    pending = PendingExternal(number, LONG_BYTES, is_signal=True)
    return lambda state: state.external_workflows.__setitem__(number, pending)


def timer(timer_id: str = "") -> Change:
    return lambda state: state.timers.__setitem__(timer_id, PendingTimer(0, 0))


def callback(sent: bytes = b"", failure: bytes = b"") -> Change:
    return lambda state: state.callbacks.append(CompletionCallback(sent, 0, last_failure=failure))


def field(name: str, value: str | bytes) -> Change:
    return lambda state: setattr(state, name, value)


def entry(name: str, key: str, value: object) -> Change:
    return lambda state: getattr(state, name).__setitem__(key, value)


def size_of(*changes: Change) -> int:
    state = RunState()
    for change in changes:
        change(state)
    return approximate_size(Run(state))


@pytest.mark.parametrize(
    ("long", "short", "counts"),
    [
        (field("workflow_id", LONG), field("workflow_id", ""), 1),
        (field("workflow_type", LONG), field("workflow_type", ""), 1),
        (field("task_queue", LONG), field("task_queue", ""), 2),
        (field("user_metadata", LONG_BYTES), field("user_metadata", b""), 1),
        (field("priority", LONG_BYTES), field("priority", b""), 1),
        (entry("memo", LONG, b""), entry("memo", "", b""), 1),
        (entry("memo", "", LONG_BYTES), entry("memo", "", b""), 1),
        (entry("search_attributes", LONG, b""), entry("search_attributes", "", b""), 1),
        (entry("search_attributes", "", LONG_BYTES), entry("search_attributes", "", b""), 1),
        (activity(activity_id=LONG), activity(), 1),
        (activity(activity_type=LONG), activity(), 1),
        (activity(task_queue=LONG), activity(), 1),
        (activity(heartbeat_details=LONG_BYTES), activity(), 1),
        (activity(last_failure=LONG_BYTES), activity(), 1),
        (child(workflow_id=LONG), child(), 1),
        (child(workflow_type=LONG), child(), 1),
        (timer(LONG), timer(), 2),
        (entry("signals", LONG, 1), entry("signals", "", 1), 1),
        (
            entry("request_ids", LONG, RequestIdInfo(0, 0)),
            entry("request_ids", "", RequestIdInfo(0, 0)),
            1,
        ),
        (entry("updates", LONG, AcceptedUpdate(0)), entry("updates", "", AcceptedUpdate(0)), 1),
        (entry("admitted_updates", LONG, b""), entry("admitted_updates", "", b""), 1),
        (callback(LONG_BYTES), callback(), 1),
        (callback(failure=LONG_BYTES), callback(), 1),
    ],
)
def test_what_is_longer_makes_it_larger(long: Change, short: Change, counts: int) -> None:
    assert size_of(long) - size_of(short) == counts * 1000


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (activity(1), activity(2)),
        (child(1), child(2)),
        (external(1), external(2)),
        (timer(""), timer("a")),
        (callback(), callback()),
        (entry("request_ids", "", RequestIdInfo(0, 0)), entry("request_ids", "a", None)),
        (entry("updates", "", AcceptedUpdate(0)), entry("updates", "a", None)),
        (entry("admitted_updates", "", b""), entry("admitted_updates", "a", b"")),
    ],
)
def test_each_counts_with_what_it_has_besides(one: Change, other: Change) -> None:
    nothing, first, both = size_of(), size_of(one), size_of(one, other)
    assert 0 < first - nothing < 200
    # History does not count. The second one counts as much as the first.
    assert first - nothing <= both - first < 200


def test_a_run_has_something_from_the_beginning() -> None:
    assert size_of() > 0


def test_what_waits_for_its_id_counts() -> None:
    event = HistoryEvent()
    event.workflow_execution_signaled_event_attributes.signal_name = LONG
    assert size_of(lambda state: state.buffered.append(event)) - size_of() == event.ByteSize()


def test_what_lists_show_of_pauses_does_not_count() -> None:
    assert size_of(entry("search_attributes", PAUSE_INFO, LONG_BYTES)) == size_of()


def test_it_is_measured_when_it_may_have_grown_too_large() -> None:
    run = Run(RunState(workflow_id=LONG))
    size = approximate_size(run)
    assert not may_exceed(run, size)
    assert may_exceed(run, size - 1)
    note_growth(run, _outcome(b"x" * 100, b"x" * 200))
    assert run.state_size_max is not None
    assert run.state_size_max > size + 2 * 300
    # The count is larger than the state.
    assert not may_exceed(run, size)
    assert run.state_size_max == size


def test_nothing_is_counted_before_it_is_measured() -> None:
    run = Run(RunState())
    note_growth(run, _outcome(b"x" * 100, b""))
    assert run.state_size_max is None


def _outcome(events: bytes, internal: bytes) -> Outcome:
    return Outcome(1, 0, events, internal, timers=[], effects=[], reply=None, new_run=None)
