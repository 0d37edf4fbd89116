"""Checks for visibility: its rows say what the states say, in one place or on the way to it."""

from collections.abc import Mapping

import msgspec

from perdure.core.execution.environment import Environment
from perdure.core.limits import Limits
from perdure.core.workflow.visibility_fields import visibility
from perdure.runtime.visibility import visibility_row
from perdure.store.memory import MemoryStore
from perdure.store.port import VisibilityRow
from perdure.testing.simulator.journal_view import JournalView

_DECODER = msgspec.msgpack.Decoder(VisibilityRow)

_EVERYTHING_SHOWN = Environment(Limits(), lambda: "")


class ListChecks:
    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        #: The database for lists, if they have one of their own.
        self.second: MemoryStore | None = None
        #: Run id → length of its journal, and what lists say then.
        self._wanted: dict[str, tuple[int, VisibilityRow]] = {}

    def check(self, journals: Mapping[str, JournalView], gone: Mapping[str, JournalView]) -> None:
        """At any moment: what is committed is shown, or waits in the outbox to be."""
        waiting = {row.run_id: row.data for row in self._store._outbox.values()}
        for run_id, journal in journals.items():
            shown, wanted = self._shown(run_id, waiting), self._wanted_of(run_id, journal)
            assert shown == wanted, f"{run_id}: lists show {_difference(shown, wanted)}"
        for run_id in gone:
            shown = self._shown(run_id, waiting)
            assert shown is None, f"{run_id} is gone, and lists show {shown}"

    def is_behind(self) -> bool:
        return bool(self._store._outbox)

    def check_at_the_end(self) -> None:
        assert not self._store._outbox, "lists are behind"
        if self.second is not None:
            left = list(self._store._visibility)
            assert not left, f"the main database has lists of its own: {left}"

    def _shown(self, run_id: str, waiting: Mapping[str, bytes]) -> VisibilityRow | None:
        """Return what lists show of it once they have caught up."""
        in_main = self._store.shown(run_id)
        if run_id in waiting:
            assert in_main is None, f"{run_id} is in the main database, and in the outbox"
            return _DECODER.decode(waiting[run_id]) if waiting[run_id] else None
        in_second = self.second.shown(run_id) if self.second is not None else None
        assert in_main is None or in_second is None, f"{run_id} is in both databases"
        return in_main or in_second

    def _wanted_of(self, run_id: str, journal: JournalView) -> VisibilityRow:
        length, row = self._wanted.get(run_id, (0, None))
        if row is None or length != len(journal.rows):
            row = visibility_row(
                0, visibility(journal.state, _EVERYTHING_SHOWN), lambda namespace_id: {}
            )
            self._wanted[run_id] = (len(journal.rows), row)
        return row


def _difference(shown: VisibilityRow | None, wanted: VisibilityRow) -> object:
    if shown is None:
        return shown
    names = [name for name in wanted._fields if getattr(shown, name) != getattr(wanted, name)]
    return {name: (getattr(shown, name), getattr(wanted, name)) for name in names}
