"""The view of a run's journal in the store: the state and the events that its rows give."""

from dataclasses import dataclass, field

from temporalio.api.history.v1 import HistoryEvent

from perdure.core.workflow.state import RunState
from perdure.store.port import JournalRow


@dataclass(slots=True)
class JournalView:
    """One journal, read row by row as it grows."""

    rows: list[JournalRow] = field(default_factory=list)
    state: RunState = field(default_factory=RunState)
    events: list[HistoryEvent] = field(default_factory=list)
    #: Seen when this was checked last: due time and snapshot of the run's row, and how long the journal was then.
    looked_at: tuple[int, int, int] = (-1, -1, -1)
