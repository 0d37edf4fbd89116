"""Circuit breakers: whoever fails again and again is left alone for a while, and then tried with one request.

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
    """Closed at first. `now` is a loop's time, or any other that only grows."""

    __slots__ = ("_failure_count", "_is_probing", "_open_s", "_open_until", "_tried")

    def __init__(self, open_s: float) -> None:
        self._open_s = open_s
        self._failure_count = 0
        #: None: it is closed.
        self._open_until: float | None = None
        #: A request is under way that shows whether the receiver is back.
        self._is_probing = False
        self._tried = asyncio.Event()

    @property
    def is_closed(self) -> bool:
        return self._open_until is None

    async def wait(self, now: Callable[[], float]) -> None:
        """Return when a request may be made. Its end has to be told: `succeeded`, `failed` or `abandoned`."""
        while self._open_until is not None:
            if self._is_probing:
                await self._tried.wait()
            elif now() < self._open_until:
                await asyncio.sleep(self._open_until - now())
            else:
                self._is_probing = True
                self._tried.clear()
                return

    def succeeded(self) -> None:
        self._failure_count = 0
        self._open_until = None
        self._end_probe()

    def failed(self, now: float) -> bool:
        """Say whether it has opened just now."""
        self._failure_count += 1
        # Those that were under way when it opened tell nothing new.
        opens = self._is_probing or (self.is_closed and self._failure_count > FAILURES_MAX)
        if opens:
            self._open_until = now + self._open_s
        self._end_probe()
        return opens

    def abandoned(self) -> None:
        """Nothing is known of how it would have ended."""
        self._end_probe()

    def _end_probe(self) -> None:
        self._is_probing = False
        self._tried.set()


class Breakers:
    """Of all receivers that have failed lately."""

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
