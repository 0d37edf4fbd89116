"""Renews the leases of this node for as long as it lives, and says when they are lost.

A server renews on a thread of its own and over a path of its own, so that neither a busy event loop nor a busy store
lets the leases expire. Where there are no threads, a task of the loop renews.

**Invariant:** a renewal counts from the moment before it was sent. It proves that until it expires nobody else writes
to the ranges: memory stays right, however long the event loop has not turned. It does not prove that the loop turns.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from perdure.runtime.clock import Clock
from perdure.runtime.shard.leases import TTL_NS, Grant, Leases
from perdure.store.port import LeaseLost, RenewalPath, Store, StoreError

log = structlog.get_logger(__name__)

RENEW_EVERY_S = 1.5
#: The thread goes on renewing for so long while the event loop does not turn. Then the node counts as dead.
SILENT_MAX_S = 30.0
_SILENT_ROUNDS_MAX = int(SILENT_MAX_S / RENEW_EVERY_S)

#: Called on the event loop when another node has taken over.
Lost = Callable[[], Awaitable[None]]


class Renewal(Protocol):
    async def keep(self, leases: Leases, lost: Lost) -> None:
        """Renew for ever. Call `lost` when another node has taken over."""


class LoopRenewal:
    """Renews by the store's own calls, on the event loop."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def keep(self, leases: Leases, lost: Lost) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            grant = leases.grant
            if not grant.leases:
                continue
            asked_at_ns = self._clock.monotonic_ns()
            try:
                await self._store.renew(grant.leases, TTL_NS)
            except LeaseLost:
                await lose(leases, grant, lost)
            except StoreError as error:
                report(leases, error)
            else:
                grant.renewed(asked_at_ns)


class ThreadRenewal:
    """Renews from a thread, over a path of its own."""

    def __init__(self, path: RenewalPath, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    async def keep(self, leases: Leases, lost: Lost) -> None:
        """It ends when the thread has ended, also if it is cancelled: that takes as long as one renewal, at most."""
        loop = asyncio.get_running_loop()
        thread = _Thread(self._path, self._clock, leases, loop)
        thread.start()
        try:
            while True:
                await lose(leases, await thread.lost.get(), lost)
        finally:
            thread.stopping.set()
            await thread.ended


class Pulse:
    """Knows whether an event loop turns. Another thread calls `beats`.

    It counts rounds of the caller, and no time: a machine that slept had a loop that could not turn.
    """

    def __init__(self, tell: Callable[[Callable[[], None]], object]) -> None:
        """`tell` lets the loop make a call, in its next turn."""
        self._tell = tell
        self._asked_count = 0
        #: The loop writes this one.
        self._turned_count = 0
        self._silent_rounds = 0

    def beats(self) -> bool:
        """Return False once the loop has not turned for `SILENT_MAX_S`. Call it once a round."""
        if self._turned_count == self._asked_count:
            if self._silent_rounds > _SILENT_ROUNDS_MAX:
                log.warning("the event loop turns again: leases are renewed")
            self._silent_rounds = 0
            self._asked_count += 1
            self._tell(self._turn)
            return True
        self._silent_rounds += 1
        if self._silent_rounds == _SILENT_ROUNDS_MAX + 1:
            log.error(
                "the event loop does not turn: leases are not renewed any more",
                silent_s=SILENT_MAX_S,
            )
        return self._silent_rounds <= _SILENT_ROUNDS_MAX

    def _turn(self) -> None:
        self._turned_count += 1


class _Thread(threading.Thread):
    """One thread from its start to its end. It changes nothing that the loop uses but the grant."""

    def __init__(
        self, path: RenewalPath, clock: Clock, leases: Leases, loop: asyncio.AbstractEventLoop
    ) -> None:
        # A daemon: a process that has to end at once does not wait for it.
        super().__init__(name="perdure-leases", daemon=True)
        self._path = path
        self._clock = clock
        self._leases = leases
        self._loop = loop
        self._pulse = Pulse(self._tell)
        self.stopping = threading.Event()
        #: Grants that another node has taken over.
        self.lost: asyncio.Queue[Grant] = asyncio.Queue()
        self.ended: asyncio.Future[None] = loop.create_future()

    def run(self) -> None:
        try:
            while not self.stopping.wait(RENEW_EVERY_S):
                grant = self._leases.grant
                if self._pulse.beats() and grant.leases:
                    self._renew(grant)
        finally:
            self._path.close()
            self._tell(self._end)

    def _renew(self, grant: Grant) -> None:
        asked_at_ns = self._clock.monotonic_ns()
        try:
            self._path.renew(grant.leases, TTL_NS)
        except LeaseLost:
            grant.lost()
            self._tell(self.lost.put_nowait, grant)
        except StoreError as error:
            report(self._leases, error)
        except Exception:
            log.exception("bug: leases were not renewed; another try follows")
        else:
            grant.renewed(asked_at_ns)

    def _tell(self, call: Callable[..., object], *arguments: object) -> None:
        """Let the loop make a call. If the loop is closed, nobody waits for it, and the thread ends."""
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            self.stopping.set()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


async def lose(leases: Leases, grant: Grant, lost: Lost) -> None:
    """Call `lost` if the grant that was lost is the present one."""
    grant.lost()
    if grant is leases.grant:
        log.warning("lease lost", owner=leases.owner)
        await lost()


def report(leases: Leases, error: StoreError) -> None:
    log.warning("lease not renewed", owner=leases.owner, error=str(error))
