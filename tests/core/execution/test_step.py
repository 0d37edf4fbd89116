"""An archetype without a history needs the verbs of `core/execution/step.py` alone: a counter keeps the contract."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from temporalio.api.common.v1 import Memo, SearchAttributes

from perdure.core.errors import invalid_argument
from perdure.core.execution.archetype import Archetype, Summary, VisibilityFields
from perdure.core.execution.concept import Concept, Rules
from perdure.core.execution.environment import Environment
from perdure.core.execution.journal import Codec
from perdure.core.execution.outcome import Effect, Outcome, Timer, TimerKind
from perdure.core.execution.request import Delete, Request
from perdure.core.execution.step import Step
from perdure.core.limits import Limits
from perdure.core.times import SECOND_NS
from tests.core.contract import T0_NS, Execution, Story

MINUTE_NS = 60 * SECOND_NS
OPEN, CLOSED = 1, 2


class Counter(msgspec.Struct, omit_defaults=True):
    count: int = 0
    #: It is counted once more then; 0 while it is not begun.
    due_at_ns: int = 0
    closed_at_ns: int = 0


class Added(msgspec.Struct, frozen=True, tag="add"):
    number: int
    due_at_ns: int


class Closed(msgspec.Struct, frozen=True, tag="end"):
    at_ns: int


@dataclass(frozen=True, slots=True)
class Add(Request[int]):
    number: int


def add(step: Step[Counter], request: Add) -> int:
    step.record_internal(Added(request.number, step.now_ns + MINUTE_NS))
    if request.number < 0:
        raise invalid_argument("it counts up only")
    step.set_timer(due(step.state))
    step.emit(f"count is {step.state.count}")
    return step.state.count


def fire(step: Step[Counter], timer: Timer) -> None:
    if timer == due(step.state):
        add(step, Add(1))


def delete(step: Step[Counter], request: Delete) -> None:
    step.record_internal(Closed(step.now_ns))


def added(state: Counter, record: Added) -> None:
    state.count += record.number
    state.due_at_ns = record.due_at_ns


def closed(state: Counter, record: Closed) -> None:
    state.closed_at_ns = record.at_ns


def due(state: Counter) -> Timer:
    return Timer(state.due_at_ns, TimerKind.USER_TIMER, 0, 0)


def pending_timers(state: Counter, now_ns: int) -> list[Timer]:
    return [due(state)] if state.due_at_ns and not state.closed_at_ns else []


COUNTING: Concept[Step[Counter], Counter] = Concept(
    "counting",
    requests={Add: add, Delete: delete},
    timers={TimerKind.USER_TIMER: fire},
    appliers={Added: added, Closed: closed},
    pending_timers=pending_timers,
    is_stale=lambda state, timer: timer != due(state),
    size=lambda state: 24,
)
RULES = Rules([COUNTING])
CODEC = Codec(Counter, Added | Closed)


def apply(state: Counter, record: Any) -> None:
    RULES.appliers[type(record)](state, record)


class CounterArchetype:
    number = 99
    name = "counter"
    open_statuses = frozenset((OPEN,))
    queue_tasks: tuple[type, ...] = ()

    def new(self) -> Counter:
        return Counter()

    def load(self, snapshot: bytes, rows: Iterable[tuple[bytes, bytes]]) -> Counter:
        state = CODEC.decode_state(snapshot) if snapshot else Counter()
        self.fold(state, rows)
        return state

    def fold(self, execution: Counter, rows: Iterable[tuple[bytes, bytes]]) -> None:
        for _, internal in rows:
            for _, record in CODEC.decode_internal(internal):
                apply(execution, record)

    def snapshot(self, execution: Counter) -> bytes:
        return CODEC.encode_state(execution)

    def transition(
        self,
        execution: Counter,
        request: Request[Any] | Timer,
        *,
        now_ns: int,
        environment: Environment,
    ) -> Outcome:
        step = Step(execution, now_ns, environment, apply, CODEC)
        table = RULES.timers if isinstance(request, Timer) else RULES.requests
        kind = request.kind if isinstance(request, Timer) else type(request)
        return step.finish(table[kind](step, request))

    def rows(self, outcome: Outcome) -> Iterable[tuple[int, bytes, bytes]]:
        return ((0, b"", outcome.internal),)

    def pending_timers(self, execution: Counter, now_ns: int) -> list[Timer]:
        return RULES.pending_timers(execution, now_ns)

    def pending_effects(self, execution: Counter, now_ns: int) -> list[Effect]:
        return RULES.pending_effects(execution, now_ns)

    def has_pending_effects(self, execution: Counter, now_ns: int) -> bool:
        return RULES.has_pending_effects(execution, now_ns)

    def is_stale(self, execution: Counter, timer: Timer) -> bool:
        return RULES.is_stale(execution, timer, is_open=not execution.closed_at_ns)

    def summary(self, execution: Counter) -> Summary:
        is_open = not execution.closed_at_ns
        return Summary(OPEN if is_open else CLOSED, is_open, True, not is_open, 1, 0, 0)

    def excess_bytes(self, execution: Counter, limit: int) -> int:
        size = RULES.size(execution)
        return size if size > limit else 0

    def visibility(self, execution: Counter, environment: Environment) -> VisibilityFields:
        status = CLOSED if execution.closed_at_ns else OPEN
        times = (T0_NS, T0_NS, execution.closed_at_ns)
        ids = ("ns-id", "c", "c-1", "Counter", "")
        return VisibilityFields(*ids, status, *times, 0, 0, 0, Memo(), SearchAttributes())

    def about(self, execution: Counter) -> Mapping[str, str]:
        return {"namespace": "ns", "run_id": "c-1"}

    def check(self, execution: Counter) -> None:
        RULES.check(execution)


COUNTER: Archetype[Counter] = CounterArchetype()


def counter() -> Story:
    assert (yield Add(2), 0) == 2
    yield Timer(T0_NS + MINUTE_NS, TimerKind.USER_TIMER, 0, 0), 60
    assert (yield Add(0), 1) == 3
    yield Delete(), 1


def test_a_counter_keeps_the_contract() -> None:
    execution = Execution(COUNTER)
    execution.tell(counter())
    assert execution.held.count == 3
    assert COUNTER.summary(execution.held).is_removable


def test_a_step_can_be_taken_back() -> None:
    state = Counter(count=1)
    step = Step(state, T0_NS, Environment(Limits(), lambda: "id"), apply, CODEC)
    before = step.checkpoint()
    with pytest.raises(Exception, match="up only"):
        add(step, Add(-1))
    assert step.state.count == 0
    step.roll_back(before)
    assert step.state.count == 1
    assert not step.has_recorded
    assert step.finish(None).internal == b""
