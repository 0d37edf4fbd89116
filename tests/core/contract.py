"""The contract of an archetype with the runtime, checked after each step of a story that is told to it.

A story yields requests (and timers, as they fire) and is sent the replies.
"""

from collections.abc import Generator
from typing import Any

from perdure.core.execution.archetype import Archetype
from perdure.core.execution.environment import Environment
from perdure.core.execution.outcome import Timer
from perdure.core.execution.request import Request
from perdure.core.limits import Limits
from perdure.core.times import SECOND_NS

T0_NS = 1_700_000_000 * SECOND_NS
#: A request or timer that comes next, and how many seconds later.
Next = tuple[Request[Any] | Timer, float]
Story = Generator[Next, Any, None]


class Execution:
    """One execution of any archetype, with the rows that a store would hold."""

    def __init__(self, archetype: Archetype[Any]) -> None:
        self.archetype = archetype
        self.held = archetype.new()
        self.now_ns = T0_NS
        self.rows: list[tuple[bytes, bytes]] = []
        self.event_count = 0
        #: (rows before it, snapshot), after every step.
        self.snapshots: list[tuple[int, bytes]] = []
        self.environment = Environment(Limits(), lambda: "id")

    def tell(self, story: Story) -> None:
        reply = None
        while True:
            try:
                request, seconds = story.send(reply)
            except StopIteration:
                return
            self.now_ns += round(seconds * SECOND_NS)
            reply = self.ask(request)
            self.check()

    def ask(self, request: Request[Any] | Timer) -> Any:
        outcome = self.archetype.transition(
            self.held, request, now_ns=self.now_ns, environment=self.environment
        )
        if outcome.is_recorded:
            rows = list(self.archetype.rows(outcome))
            assert sum(count for count, _, _ in rows) == outcome.event_count
            assert b"".join(events for _, events, _ in rows) == outcome.events
            self.rows += [(events, internal) for _, events, internal in rows]
            self.event_count += outcome.event_count
        self.snapshots.append((len(self.rows), self.archetype.snapshot(self.held)))
        return outcome.reply

    def check(self) -> None:
        archetype, held = self.archetype, self.held
        archetype.check(held)
        self._check_loads()
        self._check_summary()
        for timer in archetype.pending_timers(held, self.now_ns):
            assert not archetype.is_stale(held, timer)
        assert set(archetype.about(held)) >= {"namespace", "run_id"}
        assert archetype.excess_bytes(held, 0) > 0
        assert archetype.excess_bytes(held, 10**9) == 0

    def _check_loads(self) -> None:
        """The store and memory tell the same, from wherever the reading begins."""
        archetype, is_idle = self.archetype, self.archetype.summary(self.held).is_idle
        for known, snapshot in [(0, b""), *self.snapshots]:
            loaded = archetype.load(snapshot, self.rows[known:])
            assert archetype.snapshot(loaded) == archetype.snapshot(self.held)
            assert archetype.summary(loaded) == archetype.summary(self.held)._replace(is_idle=True)
            if is_idle:
                now_ns = self.now_ns
                for pending in (archetype.pending_timers, archetype.pending_effects):
                    assert pending(loaded, now_ns) == pending(self.held, now_ns)

    def _check_summary(self) -> None:
        archetype, held = self.archetype, self.held
        summary = archetype.summary(held)
        assert summary.is_open == (summary.status in archetype.open_statuses)
        assert summary.next_event_id == self.event_count + 1
        assert summary.history_size_bytes == sum(len(events) for events, _ in self.rows)
        assert 0 <= summary.seen_event_id < summary.next_event_id
        assert not (summary.is_open and summary.is_removable)
        shown = archetype.visibility(held, self.environment)
        assert (shown.status, shown.close_time_ns == 0) == (summary.status, summary.is_open)
        if not summary.is_open:
            pending = archetype.pending_effects(held, self.now_ns)
            assert archetype.has_pending_effects(held, self.now_ns) == bool(pending)
