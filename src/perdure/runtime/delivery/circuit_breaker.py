"""Circuit breakers: a receiver that fails again and again gets no calls for a while, and then one to try it.

Temporal: a receiver of callbacks is a scheme, host and port, seen from one namespace; to which of its paths a request
goes does not matter. Nothing but their absence shows that callbacks wait: Describe goes on saying "scheduled".
"""

import asyncio
import re
from collections.abc import Callable

#: Temporal: so many failures in a row are borne.
FAILURES_MAX = 5
#: Breakers that are kept, at most: those of receivers that have failed lately.
BREAKERS_MAX = 10_000
_END_OF_HOST = re.compile("[/?#]")


def receiver_of(url: str) -> str:
    # Not with the library's parser: it refuses what others take, and a callback has to be tried before it can fail.
    scheme, _, rest = url.partition("://")
    return f"{scheme.lower()}://{_END_OF_HOST.split(rest, 1)[0]}"


class Breaker:
    """Closed at first. `now` is a loop's time, or any other that only grows.

    Each time that it opens, probes or closes, another period begins. A request belongs to the period in which it was
    let through.

    **Invariant:** the end of a request counts in its own period only. Many may be under way when the breaker opens: how
    they end says nothing of the probe that is sent later.
    """

    __slots__ = ("_failure_count", "_is_probing", "_open_s", "_open_until", "_period", "_tried")

    def __init__(self, open_s: float) -> None:
        self._open_s = open_s
        self._failure_count = 0
        #: None: it is closed.
        self._open_until: float | None = None
        #: The one request of this period shows whether the receiver is back.
        self._is_probing = False
        self._period = 0
        self._tried = asyncio.Event()

    @property
    def is_closed(self) -> bool:
        return self._open_until is None

    async def wait(self, now: Callable[[], float]) -> int:
        """Return the period as soon as a request may be made.

        The caller passes it on at the end of the request: `succeeded`, `failed` or `abandoned`.
        """
        while self._open_until is not None:
            if self._is_probing:
                await self._tried.wait()
            elif now() < self._open_until:
                await asyncio.sleep(self._open_until - now())
            else:
                self._begin_period(self._open_until, is_probing=True)
                break
        return self._period

    def succeeded(self, period: int) -> None:
        if period != self._period:
            return
        self._failure_count = 0
        if self._is_probing:
            self._begin_period(None)

    def failed(self, period: int, now: float) -> bool:
        """Say whether it has opened just now."""
        if period != self._period:
            return False
        self._failure_count += 1
        opens = self._is_probing or self._failure_count > FAILURES_MAX
        if opens:
            self._begin_period(now + self._open_s)
        return opens

    def abandoned(self, period: int) -> None:
        """Nothing is known of how it would have ended: another one may probe at once."""
        if period == self._period and self._is_probing:
            self._begin_period(self._open_until)

    def _begin_period(self, open_until: float | None, *, is_probing: bool = False) -> None:
        self._period += 1
        self._open_until = open_until
        self._is_probing = is_probing
        if is_probing:
            self._tried.clear()
        else:
            self._tried.set()


class CircuitBreakers:
    """The circuit breakers of all receivers that have failed lately."""

    def __init__(self) -> None:
        self._breakers: dict[tuple[str, str], Breaker] = {}

    def get(self, namespace_id: str, url: str, open_s: float) -> Breaker:
        key = (namespace_id, receiver_of(url))
        breaker = self._breakers.get(key)
        if breaker is None:
            if len(self._breakers) >= BREAKERS_MAX:
                self._breakers = {
                    each: kept for each, kept in self._breakers.items() if not kept.is_closed
                }
            breaker = self._breakers[key] = Breaker(open_s)
        return breaker
