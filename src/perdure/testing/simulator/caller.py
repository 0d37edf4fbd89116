"""Whoever calls the server over an unreliable network, and needs an answer."""

import asyncio
import random
from typing import Any

from perdure.core.errors import Code, Rejected
from perdure.testing.simulator.witness import Server, Witness

#: The server cannot answer now, or did and the answer was lost.
AGAIN = (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED)


class Caller:
    def __init__(self, server: Server, witness: Witness, randomness: random.Random) -> None:
        self._server = server
        self._witness = witness
        self._random = randomness

    async def live(self) -> None:
        """Do what it is there for."""
        raise NotImplementedError

    async def insist(self, request: Any, *, tries: int = 1000, timeout_s: float = 10.0) -> Any:
        """Call until there is an answer. Raises `Rejected` for one that will not change."""
        for attempt in range(tries):
            try:
                return await self._server.call(request, timeout_s)
            except Rejected as refusal:
                if refusal.code not in AGAIN or attempt == tries - 1:
                    raise
            await asyncio.sleep(self._random.uniform(0.05, 1.0))
        raise AssertionError("unreachable")

    async def call_once(self, request: Any) -> Any:
        try:
            return await self._server.call(request)
        except Rejected:
            return None
