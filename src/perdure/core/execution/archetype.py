"""The archetype of an execution: what kind of durable thing it is, and all that the runtime may know of that kind.

The runtime keeps executions in memory, writes them, and calls them back; what they are it does not know. It holds an
opaque value and asks the archetype about it. The archetypes themselves are listed in `core/archetypes.py`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

from temporalio.api.common.v1 import Memo, SearchAttributes

from perdure.core.execution.environment import Environment
from perdure.core.execution.outcome import Effect, Outcome, Timer
from perdure.core.execution.request import Request

#: The value that an archetype keeps in memory for one execution.
X = TypeVar("X")


class Summary(NamedTuple):
    """The facts by which the runtime decides how to keep an execution."""

    #: As the stored row and lists have it; its numbers are the archetype's own. A store takes -1 for a deleted one.
    status: int
    is_open: bool
    #: Nothing is in flight that a reload would lose.
    is_idle: bool
    #: It asked for its own deletion, and nobody waits for anything of it: its rows go with the next commit.
    is_removable: bool
    #: The id of the next history event; 1 where an archetype has no history.
    next_event_id: int
    #: A worker that has the execution in its cache has seen the events up to here: only later ones are kept at hand.
    seen_event_id: int
    history_size_bytes: int


class VisibilityFields(NamedTuple):
    """Everything that lists show of an execution."""

    namespace_id: str
    business_id: str
    run_id: str
    type_name: str
    task_queue: str
    status: int
    start_time_ns: int
    execution_time_ns: int
    #: 0 while it is open.
    close_time_ns: int
    history_length: int
    history_size_bytes: int
    state_transition_count: int
    memo: Memo
    #: By the names that clients know, none of which has been removed since.
    search_attributes: SearchAttributes
    parent_business_id: str = ""
    parent_run_id: str = ""
    root_business_id: str = ""
    root_run_id: str = ""


class Archetype(Protocol[X]):
    """One kind of execution. Everything here is pure: it neither waits nor reads a clock."""

    @property
    def number(self) -> int:
        """Stored with every row and never used again for another kind."""

    @property
    def name(self) -> str: ...

    @property
    def open_statuses(self) -> frozenset[int]:
        """The statuses of an execution that has not ended."""

    @property
    def queue_tasks(self) -> tuple[type, ...]:
        """The effects that wait in a task queue for a worker: while they do, the execution may leave memory."""

    def new(self) -> X:
        """Return an execution that nothing has happened to yet."""

    def load(self, snapshot: bytes, rows: Iterable[tuple[bytes, bytes]]) -> X:
        """Rebuild an execution from its snapshot (empty: there is none) and the journal rows after it.

        Each row is its (events, internal) bytes.
        """

    def fold(self, execution: X, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Move an execution that `load` has returned forward by the rows that follow."""

    def snapshot(self, execution: X) -> bytes: ...

    def transition(
        self, execution: X, request: Request[Any] | Timer, *, now_ns: int, environment: Environment
    ) -> Outcome:
        """Answer `request`: move the execution forward, and say what the runtime must do about it.

        The same arguments give the same outcome. If this raises anything but `Rejected`, the execution may be half
        changed and must be thrown away; the stored one is intact.
        """

    def rows(self, outcome: Outcome) -> Iterable[tuple[int, bytes, bytes]]:
        """Yield the journal rows of a transition, each its event count, events and internal records.

        There is one, if it is not large.
        """

    def pending_timers(self, execution: X, now_ns: int) -> list[Timer]:
        """Return every timer that the execution relies on: a reload asks for them again."""

    def pending_effects(self, execution: X, now_ns: int) -> list[Effect]:
        """Return every effect that the execution relies on to move: a reload delivers them again."""

    def has_pending_effects(self, execution: X, now_ns: int) -> bool:
        """Return whether a closed execution has pending effects; there may be too many to make them all for that."""

    def is_stale(self, execution: X, timer: Timer) -> bool:
        """Return whether `timer` has become of no use for good. One that is not stale may do nothing all the same."""

    def summary(self, execution: X) -> Summary: ...

    def excess_bytes(self, execution: X, limit: int) -> int:
        """Return how large the state may be if that is more than `limit`; 0 if it is not."""

    def visibility(self, execution: X, environment: Environment) -> VisibilityFields: ...

    def about(self, execution: X) -> Mapping[str, str]:
        """Return what a log line says to name the execution."""

    def check(self, execution: X) -> None:
        """Assert what holds between any two transitions. Tests and the simulator call it; the server does not."""
