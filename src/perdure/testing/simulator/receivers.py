"""The receivers of completion callbacks: slow, away for a while, and some refuse."""

import asyncio
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from perdure.runtime.delivery.circuit_breaker import FAILURES_MAX, receiver_of
from perdure.runtime.delivery.http_client import HttpResponse, PostFailed

HOSTS = ("http://one", "http://two", "http://three")
#: A receiver refuses every request for a path of this name.
REFUSED = "refused"
#: How long a receiver that fails again and again is left alone.
LEFT_ALONE_S = 10
_LINK = re.compile(r"<temporal:///namespaces/([^/]*)/workflows/[^/]*/([^/]*)/history")
_TAKEN = HttpResponse(200, "OK", "", "", b"")


@dataclass(frozen=True, slots=True)
class Delivery:
    """The news that a receiver got."""

    namespace: str
    run_id: str
    url: str
    #: How the operation has ended: the header says so.
    outcome: str
    body: bytes


class Receivers:
    """All of a world. A receiver is the host of a URL."""

    def __init__(self, randomness: random.Random, taken: Callable[[Delivery], None]) -> None:
        self._random = randomness
        self._taken = taken
        #: This part of the requests gets lost, or of their answers.
        self.loses = 0.0
        self.latency_s = 0.01
        self.away: set[str] = set()
        #: Faults of the nodes.
        self.faults: list[str] = []

    def stop_failing(self) -> None:
        self.loses = 0.0
        self.away.clear()

    async def answer(self, delivery: Delivery, timeout_s: float) -> HttpResponse:
        draw = self._random
        await asyncio.sleep(draw.expovariate(1 / self.latency_s))
        if receiver_of(delivery.url) in self.away:
            return await self._away(timeout_s)
        if draw.random() < self.loses:
            raise PostFailed("simulated: lost on its way")
        if REFUSED in delivery.url:
            return HttpResponse(400, "Bad Request", "", "", b"")
        self._taken(delivery)
        await asyncio.sleep(draw.expovariate(1 / self.latency_s))
        if draw.random() < self.loses:
            raise PostFailed("simulated: taken, and the answer is lost")
        return _TAKEN

    async def _away(self, timeout_s: float) -> HttpResponse:
        if self._random.random() < 0.5:
            return HttpResponse(503, "Service Unavailable", "", "", b"")
        if self._random.random() < 0.5:
            await asyncio.sleep(timeout_s)
        raise PostFailed("simulated: nobody there")


@dataclass(slots=True)
class _Seen:
    """One node's view of one receiver, in one namespace."""

    failures: int = 0
    open_since: float | None = None
    #: Probes; there is one at most.
    under_way: set[int] = field(default_factory=set)
    #: Another one begins whenever it is left alone, or is asked, or is back. Only what was asked in it counts in it.
    period: int = 0


class Sender:
    """One node's way to the receivers. It stands in for the runtime's HTTP client.

    It notes faults: a receiver that fails again and again is not left alone, or is asked by several at once
    whether it is back.
    """

    def __init__(self, receivers: Receivers, node: str) -> None:
        self._receivers = receivers
        self._node = node
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._number = 0

    async def post(
        self, url: str, headers: dict[str, str], body: bytes, timeout_s: float
    ) -> HttpResponse:
        link = _LINK.match(headers["nexus-link"])
        assert link is not None
        namespace, run_id = link.groups()
        delivery = Delivery(namespace, run_id, url, headers["nexus-operation-state"], body)
        seen = self._seen.setdefault((namespace, receiver_of(url)), _Seen())
        is_probe = seen.open_since is not None
        self._check_not_left_alone(seen, url)
        self._number += 1
        number = self._number
        if is_probe:
            seen.under_way.add(number)
            seen.period += 1
        period = seen.period
        is_good = False
        try:
            answer = await self._receivers.answer(delivery, timeout_s)
            is_good = answer.status != 503
            return answer
        finally:
            seen.under_way.discard(number)
            if period == seen.period:
                self._has_ended(seen, is_good=is_good, is_probe=is_probe)

    def _has_ended(self, seen: _Seen, *, is_good: bool, is_probe: bool) -> None:
        seen.failures = 0 if is_good else seen.failures + 1
        if is_good:
            seen.period += is_probe
            seen.open_since = None
        elif is_probe or seen.failures > FAILURES_MAX:
            seen.period += 1
            seen.open_since = asyncio.get_running_loop().time()

    def close(self) -> None:
        pass

    def _check_not_left_alone(self, seen: _Seen, url: str) -> None:
        now = asyncio.get_running_loop().time()
        if seen.open_since is None:
            return
        if seen.under_way:
            self._receivers.faults.append(f"{self._node}: two ask at once whether {url} is back")
        if now < seen.open_since + LEFT_ALONE_S - 1e-6:
            self._receivers.faults.append(
                f"{self._node}: {url} failed {seen.failures} times, and is not left alone"
            )
