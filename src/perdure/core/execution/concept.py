"""A concept is a file of rules about one thing, and `Rules` are what a machine makes of all of them.

Each file of rules ends in one `Concept`: everything that the machine must know of it, so that a new concept is its file
and one line in the archetype's list.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Generic, TypeVar

from perdure.core.execution.outcome import Effect, Timer

#: The archetype's step, and what it keeps of an execution in memory.
S = TypeVar("S")
X = TypeVar("X")

Handlers = dict[Any, Callable[[S, Any], object]]
Appliers = dict[Any, Callable[[Any, Any], None]]


@dataclass(frozen=True, slots=True)
class Concept(Generic[S, X]):
    """One concept. `pending_timers` gives each kind in `timers`, `pending_effects` each type in `effects`."""

    name: str
    #: Asserts what holds between any two transitions.
    check: Callable[[X], None] | None = None
    #: The class of a request → the function that answers it.
    requests: Mapping[type, Callable[[S, Any], object]] = field(default_factory=dict)
    #: The type of a worker's command → the function that obeys it; it gets the id of the event that it came with.
    commands: Mapping[Any, Callable[[S, Any, int], None]] = field(default_factory=dict)
    #: The type of an event or internal record → the function that changes the state as it says.
    appliers: Mapping[Any, Callable[[Any, Any], None]] = field(default_factory=dict)
    #: The same for a buffered event that gets its id: everything else changed when it arrived.
    numbered: Mapping[Any, Callable[[Any, Any], None]] = field(default_factory=dict)
    #: The kind of a timer → the function that is called when one is due.
    timers: Mapping[IntEnum, Callable[[S, Timer], None]] = field(default_factory=dict)
    #: Whether a timer of this concept is of no use any more, for good. Without it none ever is while it is open.
    is_stale: Callable[[X, Timer], bool] | None = None
    #: Its timers fire also when the execution has closed.
    outlives_close: bool = False
    #: The types of effects that are repeated until they are answered.
    effects: tuple[type, ...] = ()
    #: Called in the transition that closes the execution.
    on_close: Callable[[S], None] | None = None
    #: The timers and effects that an execution relies on, in a fixed order: a reload asks for them again.
    pending_timers: Callable[[X, int], Iterable[Timer]] | None = None
    pending_effects: Callable[[X, int], Iterable[Effect]] | None = None
    #: How many bytes of the state are this concept's.
    size: Callable[[X], int] | None = None


class Rules(Generic[S, X]):
    """The tables of several concepts as one. A question to each in turn goes in the order of the concepts."""

    def __init__(self, concepts: Iterable[Concept[S, X]]) -> None:
        self.concepts = tuple(concepts)
        self.requests: Handlers[S] = _merged(self.concepts, "requests")
        self.commands: dict[Any, Callable[[S, Any, int], None]] = _merged(self.concepts, "commands")
        self.appliers: Appliers = _merged(self.concepts, "appliers")
        self.numbered: Appliers = _merged(self.concepts, "numbered")
        self.timers: Handlers[S] = _merged(self.concepts, "timers")
        #: By the concept's name. The simulator plants bugs in these tables.
        self.on_close: dict[str, Callable[[S], None]] = _given(self.concepts, "on_close")
        self.pending_timers_of: dict[str, Callable[[X, int], Iterable[Timer]]] = _given(
            self.concepts, "pending_timers"
        )
        self.pending_effects_of: dict[str, Callable[[X, int], Iterable[Effect]]] = _given(
            self.concepts, "pending_effects"
        )
        self._sizes = [each.size for each in self.concepts if each.size is not None]
        self._is_stale = {
            kind: each.is_stale
            for each in self.concepts
            if each.is_stale is not None
            for kind in each.timers
        }
        #: Kinds of timers that fire also when the execution has closed.
        self.outliving = frozenset(
            kind for each in self.concepts if each.outlives_close for kind in each.timers
        )

    def close(self, step: S) -> None:
        for on_close in self.on_close.values():
            on_close(step)

    def pending_timers(self, execution: X, now_ns: int) -> list[Timer]:
        return [
            timer
            for pending in self.pending_timers_of.values()
            for timer in pending(execution, now_ns)
        ]

    def pending_effects(self, execution: X, now_ns: int) -> list[Effect]:
        return list(self._pending_effects(execution, now_ns))

    def has_pending_effects(self, execution: X, now_ns: int) -> bool:
        """Whether there are pending effects. There may be many: a concept that yields them makes only the first."""
        return next(self._pending_effects(execution, now_ns), None) is not None

    def _pending_effects(self, execution: X, now_ns: int) -> Iterator[Effect]:
        for pending in self.pending_effects_of.values():
            yield from pending(execution, now_ns)

    def is_stale(self, execution: X, timer: Timer, *, is_open: bool) -> bool:
        """Whether `timer` has become of no use for good. One that is not stale may do nothing all the same."""
        if not is_open and timer.kind not in self.outliving:
            return True
        is_stale = self._is_stale.get(timer.kind)
        return is_stale is not None and is_stale(execution, timer)

    def size(self, execution: X) -> int:
        return sum(size(execution) for size in self._sizes)

    def check(self, execution: X) -> None:
        for each in self.concepts:
            if each.check is not None:
                each.check(execution)


def _merged(concepts: Iterable[Concept[S, X]], field_name: str) -> dict[Any, Any]:
    merged: dict[Any, Any] = {}
    for concept in concepts:
        table = getattr(concept, field_name)
        assert not merged.keys() & table.keys(), f"{concept.name}: {field_name} of another concept"
        merged |= table
    return merged


def _given(concepts: Iterable[Concept[S, X]], field_name: str) -> dict[str, Any]:
    found = ((concept.name, getattr(concept, field_name)) for concept in concepts)
    return {name: hook for name, hook in found if hook is not None}
