"""A run is taken back to one of its workflow tasks, and goes on from there as a new run."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from temporalio.api.enums.v1 import EventType, ResetReapplyExcludeType
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.errors import Rejected
from perdure.core.limits import Limits
from perdure.core.workflow.children import RecordChildStarted
from perdure.core.workflow.effects import AskChild, TellParent
from perdure.core.workflow.lifecycle.close import RESETTER, Terminate
from perdure.core.workflow.lifecycle.reset import NoteReset, Rebuild, RebuildUntil
from perdure.core.workflow.lifecycle.reset_prefix import Prefix
from perdure.core.workflow.machine import check, fold, transition
from perdure.core.workflow.records import encode_state
from perdure.core.workflow.state import Run, RunState
from tests.build.commands import (
    schedule_activity,
    start_child,
    start_timer,
)
from tests.core.workflow.run import OneRun, seconds

SIGNALS = ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL


def reset(run: OneRun, event_id: int, *excluded: int, after_task_id: int = 0) -> OneRun:
    """Return the new run; `run` is left as it is but for the note of it."""
    rebuild = reset_request(run, event_id, *excluded, after_task_id=after_task_id)
    run.ask(NoteReset("run-2"))
    return OneRun(started=rebuild)


def reset_request(run: OneRun, event_id: int, *excluded: int, after_task_id: int = 0) -> Rebuild:
    events = copies(run.journal.events)
    return Rebuild(
        namespace_id="ns-id",
        namespace="ns",
        workflow_id="w",
        run_id="run-2",
        base_run_id="run-1",
        earlier_run_ids=(),
        prefix=events[: event_id - 1],
        since=events[event_id - 1 :],
        excluded=frozenset(excluded),
        start_request_id="start-id",
        request_id="reset-id",
        reason="why",
        after_task_id=after_task_id,
    )


def copies(events: Sequence[HistoryEvent]) -> list[HistoryEvent]:
    copied = []
    for event in events:
        copy = HistoryEvent()
        copy.CopyFrom(event)
        copied.append(copy)
    return copied


def test_what_is_excluded_is_not_applied_again():
    run = OneRun()
    run.work()
    run.signal()
    assert "Signaled" not in reset(run, 4, SIGNALS).history()


def test_a_signal_that_came_twice_comes_once():
    run = OneRun()
    run.signal(request_id="one")
    run.work()
    events = copies(run.journal.events)
    again = copies([events[2]])
    prefix, since = events[:4], [*events[4:], *again]
    new = OneRun(
        started=Rebuild(
            "ns-id", "ns", "w", "run-2", "run-1", (), prefix, since, frozenset(), "", "", "why"
        )
    )
    assert new.history().count("Signaled") == 1


def test_a_task_that_was_never_started_gets_a_start():
    run = OneRun()
    run.signal()
    run.signal("another")
    new = reset(run, 4)
    assert new.history().startswith(
        "1 WorkflowExecutionStarted 2 WorkflowTaskScheduled 3 WorkflowExecutionSignaled"
        " 4 WorkflowTaskStarted 5 WorkflowTaskFailed 6 WorkflowExecutionSignaled"
    )


def test_what_was_pending_waits_again():
    run = OneRun()
    run.work(start_timer("t", 5), schedule_activity("a", "q"))
    run.take_activity()
    run.signal()
    run.work()
    new = reset(run, 10)
    assert list(new.state.timers) == ["t"]
    assert not new.state.activities[new.state.activity_ids["a"]].started_at_ns
    new.take_activity()
    new.complete_activity()


def test_the_new_run_has_all_of_its_time():
    run = OneRun(workflow_execution_timeout="10s", workflow_run_timeout="8s")
    run.work()
    run.wait(20)
    assert not run.state.is_open
    new = reset(run, 4)
    described = new.described().workflow_extended_info
    assert seconds(described.execution_expiration_time) == 10, "its clock begins at 0, too"
    new.wait(9)
    assert not new.state.is_open


def test_children_are_asked_after():
    """One may have closed after the run that is reset had."""
    run = OneRun()
    run.work(start_child("c", "q"))
    run.ask(started_child())
    run.work()
    new = reset(run, 9)
    assert [ask.run_id for ask in new.dispatched(AskChild)] == ["child-run"]
    [child] = new.state.children.values()
    assert child.to_be_asked
    new.crash()
    assert [ask.run_id for ask in new.dispatched(AskChild)] == ["child-run"]


def started_child():
    return RecordChildStarted(5, "child-run")


def test_a_run_that_made_way_tells_nobody():
    run = OneRun()
    run.work(start_child("c", "q"))
    run.ask(started_child())
    run.ask(NoteReset("run-2"))
    run.effects.clear()
    run.ask(Terminate("why", None, RESETTER))
    assert run.effects == []
    assert run.dispatched(TellParent) == []


@pytest.mark.parametrize(
    ("event_id", "text"),
    [(2, "this event must be at the boundary"), (5, "this event must be at the boundary")],
)
def test_where_a_run_cannot_go_on(event_id, text):
    run = OneRun()
    run.work(start_timer("t", 100))
    events = run.journal.events
    with pytest.raises(Rejected) as refused:
        Prefix(events[: event_id - 1]).check(ends_a_transition=False)
    assert text in refused.value.message


def test_a_run_cannot_go_on_without_a_task():
    run = OneRun()
    run.work(start_timer("t", 100))
    run.signal()
    with pytest.raises(Rejected) as refused:
        Prefix(run.journal.events[:5]).check(ends_a_transition=True)
    assert (
        "in range [WorkflowTaskScheduled +1, WorkflowTaskStarted + 1]: 6" in refused.value.message
    )


def steps(request: Rebuild, prefix_events: int, since_events: int) -> list[Rebuild]:
    """Return the requests that do the same in slices of so many events."""
    made, prefix = [], Prefix()

    def add(until: RebuildUntil, own: Sequence[HistoryEvent], since: Sequence[HistoryEvent]):
        made.append(
            replace(
                request,
                until=until,
                prefix=tuple(copies(own)),
                since=tuple(since),
                last_started_event_id=prefix.last_started_event_id,
                taken_over_bytes=prefix.size_bytes,
            )
        )
        prefix.add(own)

    for first in range(0, len(request.prefix), prefix_events):
        add(RebuildUntil.PREFIX, request.prefix[first : first + prefix_events], ())
    for first in range(0, len(request.since), since_events):
        add(RebuildUntil.SINCE, (), request.since[first : first + since_events])
    add(RebuildUntil.END, (), ())
    return made


@pytest.mark.parametrize("slices", [(1, 1), (2, 3), (100, 1), (3, 100), (100, 100)])
@pytest.mark.parametrize("place", [0, 1])
def test_a_rebuild_in_slices_gives_what_one_step_gives(place, slices):
    """Taken back to the first workflow task, or the second one."""
    base = OneRun(workflow_run_timeout="800s")
    base.signal("before")
    base.work(start_timer("t", 5), schedule_activity("a", "q"), start_child("c", "q"))
    base.take_activity()
    base.signal("after", request_id="r")
    base.wait(6)
    base.work()
    base.signal("last")
    event_id = [
        event.event_id + 1
        for event in base.journal.events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
    ][place]
    whole = replace(reset_request(base, event_id), earlier_run_ids=("run-0",))
    one = OneRun(started=replace(whole, prefix=tuple(copies(whole.prefix))))
    run, rows, effects = Run(), [], []
    for request in steps(whole, *slices):
        outcome = transition(run, request, now_ns=one.now_ns, environment=one.environment)
        rows.append((outcome.events, outcome.internal))
        effects += outcome.effects
    assert b"".join(events for events, _ in rows) == b"".join(row[0] for row in one.journal.rows)
    assert encode_state(run.state) == encode_state(one.state)
    assert encode_state(fold(RunState(), rows)) == encode_state(one.state)
    assert effects == one.effects
    check(run)


def test_a_run_is_not_too_long_to_be_made_again():
    """Its base may be about to be terminated for its length: that is a reason to reset it."""
    base = OneRun()
    base.work()
    for number in range(5):
        base.signal(f"{number}")
    whole = replace(reset_request(base, 4), since=tuple(base.journal.events[3:]))
    short = OneRun(limits=Limits(history_count=3))
    run = Run()
    for request in steps(replace(whole, prefix=tuple(base.journal.events[:3])), 1, 1):
        transition(run, request, now_ns=base.now_ns, environment=short.environment)
    assert run.state.is_open
