"""An asyncio event loop in which time jumps to the next deadline instead of passing."""

import asyncio
import selectors
from typing import Any, NoReturn

#: Many times what a world needs that comes to its end.
STEPS_MAX = 200_000
EPOCH_NS = 1_700_000_000 * 10**9


class DeadlockError(Exception):
    """Every task waits and no deadline is set: nothing can ever happen again."""


class _JumpingSelector(selectors.SelectSelector):
    """Nothing is ever ready to be read, so what the loop waits for is time."""

    loop: "VirtualLoop"
    steps = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise DeadlockError
        self.steps += 1
        if self.steps > STEPS_MAX:
            timeout += 3600.0  # It goes round in circles: let every patience come to its end.
        self.loop.elapsed_s += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """One thread, no sockets, no waiting: the order of callbacks depends on the program alone."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.elapsed_s

    def run_in_executor(self, *_: Any) -> NoReturn:  # type: ignore[override]
        raise RuntimeError("a thread would make the outcome depend on more than the seed")


class VirtualClock:
    """A `runtime.clock.Clock` on the loop's time."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now_ns(self) -> int:
        return EPOCH_NS + int(self._loop.elapsed_s * 1e9)

    def monotonic_ns(self) -> int:
        return int(self._loop.elapsed_s * 1e9)
