"""A workflow task that a worker holds, and what it has sent of its answer. In memory only: see `state.InFlight`."""

from temporalio.api.command.v1 import Command
from temporalio.api.history.v1 import HistoryEvent


class Pages:
    """The commands of a completion that comes in pages, as far as they have come."""

    __slots__ = ("__weakref__", "commands", "size")

    def __init__(self) -> None:
        #: By the number of the page.
        self.commands: dict[int, tuple[Command, ...]] = {}
        self.size = 0


class StartedTask:
    """A worker holds the workflow task. Not durable: after a crash the task is started again."""

    __slots__ = (
        "events",
        "identity",
        "leaves_sticky",
        "nonce",
        "pages",
        "queries",
        "request_id",
        "started_at_ns",
        "started_event_id",
    )

    def __init__(
        self,
        *,
        events: tuple[HistoryEvent, ...],
        started_event_id: int,
        started_at_ns: int,
        nonce: int,
        identity: str,
        request_id: str,
        queries: frozenset[str],
        leaves_sticky: bool = False,
    ) -> None:
        #: Started event (and, for a transient task, its scheduled event before it), to be recorded at the end.
        self.events = events
        self.started_event_id = started_event_id
        self.started_at_ns = started_at_ns
        #: Drawn anew whenever a task is started; the task token carries it.
        self.nonce = nonce
        self.identity = identity
        self.request_id = request_id
        #: Ids of the queries that went with the task.
        self.queries = queries
        #: It was taken from the normal queue although the run has a sticky one, whose worker is gone.
        self.leaves_sticky = leaves_sticky
        self.pages: Pages | None = None
