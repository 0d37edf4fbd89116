"""Checks for deleted runs: they could go, all that was theirs went with them, and nothing comes back."""

from collections.abc import Callable, Sequence

from perdure.core.execution.key import ExecutionKey
from perdure.core.execution.outcome import Effect
from perdure.core.times import timestamp_ns
from perdure.core.workflow import machine
from perdure.core.workflow.effects import InvokeCallback
from perdure.core.workflow.state import Run
from perdure.store.memory import MemoryStore
from perdure.store.port import DELETED, NEVER_NS
from perdure.testing.simulator.deletion_clients import BRIEF_ID, RETENTION_NS
from perdure.testing.simulator.journal_view import JournalView
from perdure.testing.simulator.witness import SKEW_MAX_NS, Witness


class WatchedStore(MemoryStore):
    """Says what is about to go."""

    #: Called with the keys, while all is still there.
    on_delete: Callable[[Sequence[ExecutionKey]], None]

    def _delete(self, keys: Sequence[ExecutionKey]) -> None:
        self.on_delete(keys)
        super()._delete(keys)


class Gone:
    """The runs that have gone."""

    def __init__(
        self, store: MemoryStore, witness: Witness, has_heard: Callable[[str, str], bool]
    ) -> None:
        """`has_heard`: whether the receiver with this URL knows how the run has ended."""
        self._store = store
        self._has_heard = has_heard
        self._witness = witness
        self.journals: dict[str, JournalView] = {}
        #: Faults that were seen while the store deleted: it must not fail by that.
        self._faults: list[str] = []

    def add(self, run_id: str, journal: JournalView) -> None:
        """The run goes now: may it?"""
        self.journals[run_id] = journal
        if journal.state.is_open:
            self._check_wanted(run_id, journal)
            return
        # The last effects of a run that somebody deletes leave no trace in its journal.
        pending_effects = (
            []
            if journal.state.deletion_requested
            else machine.pending_effects(Run(journal.state), NEVER_NS)
        )
        if any(self._is_missed(run_id, journal, effect) for effect in pending_effects):
            self._faults.append(f"{run_id} goes, and these effects are pending: {pending_effects}")
        closed_ns = timestamp_ns(journal.events[-1].event_time)
        is_over = closed_ns + RETENTION_NS <= self._store._now_ns() + 2 * SKEW_MAX_NS
        if journal.state.namespace_id != BRIEF_ID or not is_over:
            self._check_wanted(run_id, journal)

    def _is_missed(self, run_id: str, journal: JournalView, effect: Effect) -> bool:
        if not isinstance(effect, InvokeCallback):
            return True
        # The receivers of a run that somebody deletes need not hear of its end. Others have heard of it: that is not
        # written if the run goes with the same commit.
        return not self._may_go(run_id, journal) and not self._has_heard(run_id, effect.url)

    def _may_go(self, run_id: str, journal: JournalView) -> bool:
        """Whether somebody asks for that."""
        in_deleted = self._witness.is_brief_deleted and journal.state.namespace_id == BRIEF_ID
        return in_deleted or run_id in self._witness.may_go

    def _check_wanted(self, run_id: str, journal: JournalView) -> None:
        if not self._may_go(run_id, journal):
            self._faults.append(f"{run_id} goes, and nobody asked")

    def check(self) -> None:
        """Nothing is left of them but, as long as a workflow id has others, a number."""
        store = self._store
        assert not self._faults, self._faults
        for run_id in self.journals:
            assert not store.journal(run_id), f"{run_id} is gone, and written again"
            assert store.shown(run_id) is None, f"{run_id} is gone, and lists show it"
            row = store._executions.get(run_id)
            assert row is None or row.status == DELETED, f"{run_id} is gone, and has a row"
        for place, runs in store._runs.items():
            statuses = {store._executions[run_id].status for run_id in runs.values()}
            assert statuses != {DELETED}, f"{place}: a number is kept, and there is no other run"

    def is_missing_something(self) -> bool:
        """Whether something is still to go."""
        store, witness = self._store, self._witness
        brief = [row for row in store.rows() if row.namespace_id == BRIEF_ID]
        is_there = witness.is_brief_deleted and BRIEF_ID in store._namespaces
        return bool(brief) or is_there or not witness.must_go <= set(self.journals)
