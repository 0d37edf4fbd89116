"""Checks for when everything has ended: every promise was kept, and runs follow one another as they must."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from temporalio.api.enums.v1 import (
    ContinueAsNewInitiator,
    EventType,
    WorkflowExecutionStatus,
)
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.times import duration_ns, timestamp_ns
from perdure.core.workflow.lifecycle.reset import NO_POLL
from perdure.core.workflow.state import RunState
from perdure.testing.simulator.journal_view import JournalView
from perdure.testing.simulator.witness import SKEW_MAX_NS, Witness

Journals = Mapping[str, JournalView]

_BY_SCHEDULE = ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE


def check(journals: Journals, gone: Journals, witness: Witness) -> None:
    ever = {**gone, **journals}
    _check_acknowledged(journals, witness)
    _check_chains(journals, ever)
    _check_resets(journals, ever, witness.resets)
    for first, second in witness.repeated_starts:
        check_repeated(ever, first, second)
    for run_id, shown in witness.shown.items():
        events = ever[run_id].events
        for event_id, encoded in shown.items():
            assert event_id <= len(events), f"{run_id}: event {event_id} was shown and is lost"
            durable = events[event_id - 1].SerializeToString(deterministic=True)
            assert encoded == durable, f"{run_id}: event {event_id} was shown as another one"
    for run_id, journal in journals.items():
        _check_timers(run_id, journal.events)
        _check_updates(run_id, journal)


def check_repeated(ever: Journals, first: str, second: str) -> None:
    """A start that is repeated begins no other run: its own one answers, or a reset of that."""
    is_one = second == first or first in ever[second].state.base_run_ids
    assert is_one, f"one start, two runs: {first} and {second}"


def _check_chains(journals: Journals, ever: Journals) -> None:
    """A run that says which one follows it is followed by that one, and by no other."""
    follows: dict[str, str] = {}
    for run_id, journal in ever.items():
        started = journal.events[0].workflow_execution_started_event_attributes
        before = started.continued_execution_run_id
        if not before or journal.state.base_run_ids:
            continue  # The first one, or one that has its beginning from another.
        assert before not in follows, f"{before}: both {run_id} and {follows[before]} follow it"
        follows[before] = run_id
        assert ever[before].state.first_run_id == journal.state.first_run_id
        retried = started.initiator == ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_RETRY
        attempt = ever[before].state.attempt + 1 if retried else 1
        assert started.attempt == attempt, f"{run_id} is attempt {started.attempt}"
        if retried or started.initiator == _BY_SCHEDULE:
            assert duration_ns(started.first_workflow_task_backoff), f"{run_id} did not wait"
    for run_id, journal in journals.items():
        assert journal.state.new_run_id or not _must_go_on(journal.state), (
            f"nothing follows {run_id}"
        )
        wanted = journal.state.new_run_id
        assert follows.get(run_id, "") == wanted, f"{run_id}: {wanted} does not follow it"


def _check_resets(journals: Journals, ever: Journals, resets: set[str]) -> None:
    """A run that is a reset of another shares its history up to the workflow task that was failed for it."""
    lost = resets - set(ever)
    assert not lost, f"acknowledged resets are lost: {sorted(lost)}"
    for run_id, journal in journals.items():
        if not journal.state.base_run_ids:
            continue
        base = ever[journal.state.base_run_ids[-1]]
        shared = shared_past(run_id, journal.events)
        assert journal.events[:shared] == base.events[:shared], f"{run_id} has another past"
        assert base.state.reset_run_id, f"the run before {run_id} does not know of it"
        assert not base.state.is_open, f"{run_id} is a reset of a run that goes on"
        lost_signals = _signals(base.events[shared:]) - _signals(journal.events[shared:])
        assert not lost_signals, f"{run_id}: the reset has forgotten {lost_signals}"


def _check_acknowledged(journals: Journals, witness: Witness) -> None:
    found: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for run_id, journal in journals.items():
        workflow_id = journal.state.workflow_id
        in_this_run: set[tuple[str, str]] = set()
        for event in journal.events:
            what, name = _asked_for(event)
            if not what:
                continue
            # A run does not know what reached the one before it: there, a retry is new.
            assert (what, name) not in in_this_run, f"{run_id}: {what} {name} came twice"
            in_this_run.add((what, name))
            found[what].add((workflow_id, name))
    for workflow_id, run_id in witness.started.items():
        runs = [
            run for run, journal in journals.items() if journal.state.workflow_id == workflow_id
        ]
        assert runs, f"the start of {workflow_id} was acknowledged, and is lost"
        assert not run_id or run_id in runs, f"run {run_id} was acknowledged, and is lost"
    for what, acknowledged in (
        ("signal", witness.signals),
        ("update", witness.updates),
    ):
        lost = acknowledged - found[what]
        assert not lost, f"acknowledged {what}s are lost: {sorted(lost)}"
    for what, workflow_ids in (
        ("termination", witness.terminated),
        ("cancellation", witness.cancelled),
    ):
        lost_ids = workflow_ids - {workflow_id for workflow_id, _ in found[what]}
        assert not lost_ids, f"acknowledged {what}s are lost: {sorted(lost_ids)}"


def shared_past(run_id: str, events: list[HistoryEvent]) -> int:
    """Return how many events the reset `run_id` has from the run that it is a reset of."""
    failed = next(
        index
        for index, event in enumerate(events)
        if event.workflow_task_failed_event_attributes.new_run_id == run_id
    )
    # A task that nobody had begun at that point is begun by the reset itself, in order to fail it.
    started = events[failed - 1]
    is_own = (
        started.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
        and started.event_time == events[failed].event_time
        and started.workflow_task_started_event_attributes.request_id == NO_POLL
    )
    return failed - 1 if is_own else failed


def _must_go_on(state: RunState) -> bool:
    """Whether a closed run has a next one: by its cron schedule, or since it failed and may be tried again."""
    if state.status == WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED:
        return bool(state.cron_schedule)
    if state.status != WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_FAILED:
        return False
    policy = state.retry_policy
    return bool(state.cron_schedule) or (
        policy is not None and state.attempt < policy.maximum_attempts
    )


def _signals(events: Iterable[HistoryEvent]) -> set[str]:
    return {name for what, name in map(_asked_for, events) if what == "signal"}


def _check_updates(run_id: str, journal: JournalView) -> None:
    for event in journal.events:
        what, update_id = _asked_for(event)
        if what == "update":
            known = journal.state.updates[update_id].completed_event_id
            assert known == event.event_id, (
                f"{run_id}: update {update_id} is not known to have ended"
            )


def _asked_for(event: HistoryEvent) -> tuple[str, str]:
    """Return which request of a client the event answers, and its name."""
    kind = event.event_type
    if kind == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
        signaled = event.workflow_execution_signaled_event_attributes
        # A workflow names the signals that it sends after itself, in each of its runs.
        sent = signaled.request_id if "/" in signaled.signal_name else ""
        return "signal", signaled.signal_name + sent
    if kind == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
        meta = event.workflow_execution_update_completed_event_attributes.meta
        return "update", meta.update_id
    if kind == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED:
        updated = event.workflow_execution_options_updated_event_attributes
        return "attachment" if updated.attached_request_id else "", updated.attached_request_id
    if kind == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
        return "termination", ""
    if kind == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
        return "cancellation", ""
    return "", ""


def _check_timers(run_id: str, events: list[HistoryEvent]) -> None:
    """No timer fires early, or twice, or after it was cancelled."""
    running: dict[int, int] = {}
    for event in events:
        if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED:
            started = event.timer_started_event_attributes
            running[event.event_id] = timestamp_ns(event.event_time) + duration_ns(
                started.start_to_fire_timeout
            )
        elif event.event_type == EventType.EVENT_TYPE_TIMER_CANCELED:
            del running[event.timer_canceled_event_attributes.started_event_id]
        elif event.event_type == EventType.EVENT_TYPE_TIMER_FIRED:
            due_ns = running.pop(event.timer_fired_event_attributes.started_event_id)
            early_ns = due_ns - timestamp_ns(event.event_time)
            assert early_ns <= 2 * SKEW_MAX_NS, f"{run_id}: a timer fired {early_ns} ns early"
