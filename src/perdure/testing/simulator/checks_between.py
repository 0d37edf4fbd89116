"""Checks for signals and requests to stop that workflows send to each other."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.times import timestamp_ns
from perdure.testing.simulator.journal_view import JournalView
from perdure.testing.simulator.witness import SKEW_MAX_NS

Journals = Mapping[str, JournalView]

_INITIATED = {
    EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
    EventType.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
}
_SIGNALED = EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED
_ASKED = EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED
_ANSWERS = {
    _SIGNALED,
    _ASKED,
    EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
    EventType.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
}
_COMPLETED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED


def check(journals: Journals, gone: Journals) -> None:
    """Everything has ended. Nobody knows which signals reached a workflow whose runs are deleted."""
    forgotten = {journal.state.workflow_id for journal in gone.values()}
    runs: defaultdict[str, list[str]] = defaultdict(list)
    for run_id, journal in journals.items():
        runs[journal.state.workflow_id].append(run_id)
    for run_id, journal in journals.items():
        sent = {event.event_id: event for event in journal.events if event.event_type in _INITIATED}
        answers: Counter[int] = Counter()
        for event in journal.events:
            if event.event_type not in _ANSWERS:
                continue
            attributes = _attributes(event)
            answers[attributes.initiated_event_id] += 1
            workflow_id = attributes.workflow_execution.workflow_id
            target = runs[workflow_id]
            if workflow_id in forgotten:
                continue
            if event.event_type == _SIGNALED:
                name = _attributes(sent[attributes.initiated_event_id]).signal_name
                # A run that is a reset has its past, and what was sent then, from another one.
                senders = {run_id, *journal.state.base_run_ids}
                _check_signal(journals, target, senders, name)
            elif event.event_type == _ASKED:
                _check_request(journals, target, event)
        assert set(answers) <= set(sent), f"{run_id} hears an answer to what it did not ask"
        for initiated_event_id in sent:
            count = answers[initiated_event_id]
            assert count <= 1, f"{run_id}: {count} answers to {initiated_event_id}"
            is_done = journal.events[-1].event_type == _COMPLETED
            assert count or not is_done, f"{run_id}: no answer to {initiated_event_id}"


def _check_signal(journals: Journals, target: list[str], senders: set[str], name: str) -> None:
    """The history says that the signal arrived."""
    reached = [_reached(journals, target, sender, name) for sender in senders]
    assert any(reached), f"signal {name} of {senders} is said to have arrived, and has not"


def _reached(journals: Journals, target: list[str], sender: str, name: str) -> set[str]:
    """Return the runs that have the signal. It must not be in one of them twice, or have come again."""
    reached = {run_id for run_id in target if _has(journals[run_id], sender, name)}
    # A reset has the signals of the run that it was made of: they did not arrive there once more.
    arrived = {run for run in reached if not reached & set(journals[run].state.base_run_ids)}
    # A run does not know what reached the one before it: there, a signal that is sent again is new.
    begun = [run_id for run_id in target if not journals[run_id].state.base_run_ids]
    assert len(arrived) <= len(begun), f"signal {name} of {sender} came again: {arrived}"
    return reached


def _has(journal: JournalView, sender: str, name: str) -> bool:
    """Whether the signal is in the history."""
    found = 0
    for event in journal.events:
        signal = event.workflow_execution_signaled_event_attributes
        if signal.signal_name == name and signal.external_workflow_execution.run_id == sender:
            found += 1
    assert found <= 1, f"signal {name} of {sender} came {found} times"
    return bool(found)


def _check_request(journals: Journals, target: list[str], answer: HistoryEvent) -> None:
    """The workflow was asked to stop, or had ended: that counts as a success, too."""
    answered_ns = timestamp_ns(answer.event_time) + 2 * SKEW_MAX_NS
    assert any(
        journals[run_id].state.cancel_requested
        or timestamp_ns(journals[run_id].events[-1].event_time) <= answered_ns
        for run_id in target
    ), f"a request to stop is said to have arrived, and has not:\n{answer}"


def _attributes(event: HistoryEvent) -> Any:
    return getattr(event, str(event.WhichOneof("attributes")))
