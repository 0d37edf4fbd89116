"""The verbs that the rules of any machine are written in: record, set a timer, emit an effect.

An archetype with a history has more of them (`core/workflow/history_step.py`); one without needs no others.
"""

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from perdure.core.execution.environment import Environment
from perdure.core.execution.journal import Codec
from perdure.core.execution.outcome import Effect, NewRun, Outcome, Timer

#: The archetype's durable state.
S = TypeVar("S")


class Checkpoint(NamedTuple):
    """The state, encoded, and how much had been decided by then."""

    state: bytes
    internal: int
    timers: int
    effects: int
    #: Events of the history; 0 where there is none.
    events: int = 0


class Step(Generic[S]):
    """One step of one execution: the state so far, and what has been decided so far.

    A rule reads `state` and calls the verbs. It never writes the state: records do, through `apply`.
    """

    __slots__ = (
        "_apply",
        "_codec",
        "_effects",
        "_internal",
        "_timers",
        "environment",
        "new_run",
        "now_ns",
        "state",
    )

    def __init__(
        self,
        state: S,
        now_ns: int,
        environment: Environment,
        apply: Callable[[S, Any], None],
        codec: Codec[S],
    ) -> None:
        self.state = state
        self.now_ns = now_ns
        self.environment = environment
        self.new_run: NewRun | None = None
        self._apply = apply
        self._codec = codec
        #: Each with the number of events that were recorded before it.
        self._internal: list[tuple[int, Any]] = []
        self._timers: list[Timer] = []
        self._effects: list[Effect] = []

    def record_internal(self, record: Any) -> None:
        """Record what no history shows, and apply it at once, so that later decisions see it."""
        self._internal.append((0, record))
        self._apply(self.state, record)

    def set_timer(self, timer: Timer) -> None:
        self._timers.append(timer)

    def emit(self, effect: Effect) -> None:
        self._effects.append(effect)

    @property
    def has_recorded(self) -> bool:
        return bool(self._internal)

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(
            self._codec.encode_state(self.state),
            len(self._internal),
            len(self._timers),
            len(self._effects),
        )

    def roll_back(self, checkpoint: Checkpoint) -> None:
        """Take back everything since `checkpoint`."""
        self.state = self._codec.decode_state(checkpoint.state)
        del self._internal[checkpoint.internal :]
        del self._timers[checkpoint.timers :]
        del self._effects[checkpoint.effects :]
        self.new_run = None

    def finish(self, reply: object) -> Outcome:
        return Outcome(
            first_event_id=1,
            event_count=0,
            events=b"",
            internal=self._codec.encode_internal(self._internal),
            timers=self._timers,
            effects=self._effects,
            reply=reply,
            new_run=self.new_run,
        )
