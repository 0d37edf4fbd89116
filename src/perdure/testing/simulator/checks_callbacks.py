"""Checks for completion callbacks: each receiver hears of the end of the workflow, which is durable by then."""

from collections.abc import Mapping

from temporalio.api.common.v1 import Callback
from temporalio.api.enums.v1 import EventType

from perdure.core.workflow.callbacks import is_triggered
from perdure.core.workflow.state import CompletionCallback
from perdure.testing.simulator.journal_view import JournalView
from perdure.testing.simulator.receivers import REFUSED, Delivery

Journals = Mapping[str, JournalView]

_COMPLETED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED
_CANCELED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED


class CallbackChecks:
    def __init__(self) -> None:
        #: Run id and URL of what receivers have taken.
        self._taken: set[tuple[str, str]] = set()
        #: Faults in what receivers heard: a receiver does not say so itself.
        self._faults: list[str] = []

    def took(self, delivery: Delivery, journal: JournalView | None) -> None:
        """A receiver heard of an end. `journal` is as it is now."""
        self._taken.add((delivery.run_id, delivery.url))
        wrong = _wrong_with(delivery, journal)
        if wrong:
            self._faults.append(f"{delivery.url} heard of {delivery.run_id}: {wrong}")

    def has_heard(self, run_id: str, url: str) -> bool:
        return REFUSED in url or (run_id, url) in self._taken

    def check(self) -> None:
        assert not self._faults, self._faults

    def check_at_the_end(self, journals: Journals, acknowledged: set[tuple[str, str]]) -> None:
        """Everything has ended, and nobody fails any more."""
        self.check()
        found: set[tuple[str, str]] = set()
        for run_id, journal in journals.items():
            state = journal.state
            urls = {_url(each) for each in state.callbacks}
            found |= {(state.workflow_id, url) for url in urls}
            follows = state.new_run_id or (state.reset_run_id if state.made_way else "")
            if follows in journals:
                lost = urls - {_url(each) for each in journals[follows].state.callbacks}
                assert not lost, f"{follows} follows {run_id}, and {lost} do not hear of its end"
            if is_triggered(state):
                for callback in state.callbacks:
                    self._check_heard(run_id, callback)
        lost_callbacks = acknowledged - found
        assert not lost_callbacks, f"acknowledged callbacks are lost: {sorted(lost_callbacks)}"

    def _check_heard(self, run_id: str, callback: CompletionCallback) -> None:
        url = _url(callback)
        assert callback.is_done, f"{run_id}: {url} has not heard"
        is_taken = (run_id, url) in self._taken
        assert is_taken == (REFUSED not in url), f"{run_id}: {url} is said to have heard"
        assert is_taken == (not callback.last_failure), f"{run_id}: {url} has failed for good"


def all_receivers_know(journal: JournalView) -> bool:
    return not is_triggered(journal.state) or all(each.is_done for each in journal.state.callbacks)


def _wrong_with(delivery: Delivery, journal: JournalView | None) -> str:
    if journal is None or not journal.events:
        return "nothing of that is durable"
    state, last = journal.state, journal.events[-1]
    if not is_triggered(state):
        return "it goes on"
    if delivery.url not in map(_url, state.callbacks):
        return "it did not want to know"
    outcome = {_COMPLETED: "succeeded", _CANCELED: "canceled"}.get(last.event_type, "failed")
    if delivery.outcome != outcome:
        return f"it has {outcome}, and not {delivery.outcome}"
    if last.event_type == _COMPLETED:
        [result] = last.workflow_execution_completed_event_attributes.result.payloads
        if delivery.body != result.SerializeToString(deterministic=True):
            return "it has another result"
    return ""


def _url(callback: CompletionCallback) -> str:
    return Callback.FromString(callback.callback).nexus.url
