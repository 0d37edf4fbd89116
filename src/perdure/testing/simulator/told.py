"""What the journals in the store say so far."""

from dataclasses import dataclass, field

from temporalio.api.history.v1 import HistoryEvent

from perdure.core.workflow.state import RunState
from perdure.store.port import JournalRow


@dataclass(slots=True)
class Told:
    """What one journal says so far."""

    rows: list[JournalRow] = field(default_factory=list)
    state: RunState = field(default_factory=RunState)
    events: list[HistoryEvent] = field(default_factory=list)
    #: What was last looked at: due time and snapshot of the run's row, and how long the journal was then.
    looked_at: tuple[int, int, int] = (-1, -1, -1)
