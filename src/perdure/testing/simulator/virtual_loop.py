"""An asyncio event loop in which time jumps to the next deadline, and processes can be held up.

Nothing here knows what runs on the loop. Whatever a `Process` spawned, and whatever that spawned, belongs to it: it can
be paused as a whole (as a machine that swaps, or a container that is suspended) and killed (as by `kill -9`).
"""

import asyncio
import random
import selectors
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")
EPOCH_NS = 1_700_000_000 * 10**9
#: Many times what a world needs that comes to its end.
STEPS_MAX = 200_000
#: Many times what is ever done at one moment, and in one world.
STEPS_AT_ONCE_MAX = 20_000
CPU_MAX_S = 60.0


class DeadlockError(Exception):
    """Every task waits and no deadline is set: nothing can ever happen again."""


class SpinError(BaseException):
    """Something goes round in circles, and waits for nothing. No `except Exception` takes it for a bug of its own."""


@contextmanager
def bounded_cpu(max_s: float = CPU_MAX_S) -> Iterator[None]:
    """Raise `SpinError` when this has used so much of the processor: a circle that never comes back to the loop."""

    def stop(*_: object) -> NoReturn:
        raise SpinError(f"{max_s} s of the processor")

    before = signal.signal(signal.SIGVTALRM, stop)
    # Again and again: whoever swallows the first one gets the next.
    signal.setitimer(signal.ITIMER_VIRTUAL, max_s, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


class _JumpingSelector(selectors.SelectSelector):
    """Nothing is ever ready to be read, so what the loop waits for is time."""

    loop: "VirtualLoop"
    steps = 0
    #: Since time went on.
    steps_at_once = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise DeadlockError
        self.steps_at_once = 0 if timeout else self.steps_at_once + 1
        if self.steps_at_once > STEPS_AT_ONCE_MAX:
            self.steps_at_once = 0  # Cancelled tasks take their turns, too.
            raise SpinError(f"{STEPS_AT_ONCE_MAX} turns of the loop, and no time goes by")
        self.steps += 1
        if self.steps > STEPS_MAX:
            timeout += 3600.0  # It goes round in circles: let every patience come to its end.
        self.loop.elapsed_s += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """One thread, no sockets, no waiting: what happens depends on the program and `randomness` alone.

    `overtaking` is how likely it is that a callback which is ready runs after others that became ready later: by
    `overtaking_s` at most.
    """

    def __init__(
        self, randomness: random.Random, overtaking: float = 0.0, overtaking_s: float = 0.001
    ) -> None:
        self.elapsed_s = 0.0
        self._randomness = randomness
        self._overtaking = overtaking
        self._overtaking_s = overtaking_s
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.elapsed_s

    def run_in_executor(  # type: ignore[override]
        self, executor: None, call: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Call it at once: a thread would make the outcome depend on more than the seed."""
        done: asyncio.Future[T] = self.create_future()
        done.set_result(call(*args))
        return done

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        context = copy_context() if context is None else context
        if self._overtaking and self._randomness.random() < self._overtaking:
            later_s = self._randomness.uniform(0, self._overtaking_s)
            return self.call_later(later_s, callback, *args, context=context)
        process = context.get(_PROCESS)
        if process is None:
            return super().call_soon(callback, *args, context=context)
        gate = _Gate(process, callback, args, context)
        gate.handle = super().call_soon(gate, context=context)
        return gate.handle

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        context = copy_context() if context is None else context
        process = context.get(_PROCESS)
        if process is None:
            return super().call_at(when, callback, *args, context=context)
        gate = _Gate(process, callback, args, context)
        gate.handle = handle = super().call_at(when, gate, context=context)
        return handle

    def run_again(self, gate: "_Gate") -> None:
        super().call_soon(gate, context=gate.context)

    def end_tasks(self) -> None:
        """Cancel every task, and those that a cancelled task begins: none may outlive the loop."""
        while tasks := asyncio.all_tasks(self):
            for task in tasks:
                task.cancel()
            self.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


class _Gate:
    """A callback of a process: it runs when the process does."""

    __slots__ = ("_args", "_callback", "_process", "context", "handle")

    def __init__(
        self,
        process: "Process",
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context,
    ) -> None:
        self._process = process
        self._callback = callback
        self._args = args
        self.context = context
        self.handle: asyncio.Handle

    def __call__(self) -> None:
        if self._process.held is not None:
            self._process.held.append(self)
        elif not self.handle.cancelled():
            self._callback(*self._args)


class Process:
    """A process of the operating system."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        #: Callbacks that became ready while it was held up; None while it runs.
        self.held: list[_Gate] | None = None
        self.is_dead = False

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        context = copy_context()
        context.run(_PROCESS.set, self)
        return self._loop.create_task(work, context=context)

    def pause(self) -> None:
        if self.held is None:
            self.held = []

    def resume(self) -> None:
        """Everything that became due meanwhile happens now. The dead do not come back."""
        if self.held is None or self.is_dead:
            return
        held, self.held = self.held, None
        for gate in held:
            self._loop.run_again(gate)

    def kill(self) -> None:
        """Not another step, and no farewell."""
        self.is_dead = True
        self.pause()

    def release(self) -> None:
        """The world ends: let the loop cancel what is left of a dead process."""
        self.is_dead = False
        self.resume()


_PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class VirtualClock:
    """A `runtime.clock.Clock` on the loop's time. `skew_ns` is by how much its wall clock is wrong."""

    def __init__(self, loop: VirtualLoop, skew_ns: int = 0) -> None:
        self._loop = loop
        self._epoch_ns = EPOCH_NS + skew_ns

    def now_ns(self) -> int:
        return self._epoch_ns + int(self._loop.elapsed_s * 1e9)

    def monotonic_ns(self) -> int:
        return int(self._loop.elapsed_s * 1e9)
