"""An unreliable worker insists on being heard, and loses answers, repeats them, and is too slow at times."""

import asyncio
import random
from typing import Any

from perdure.core.errors import Code, Rejected
from perdure.testing.simulator.program import NAMESPACE
from perdure.testing.simulator.retrying_caller import AGAIN
from perdure.testing.simulator.witness import Server, Witness

POLL_S = 20.0
ANSWER_TRIES = 20


class UnreliableWorker:
    def __init__(
        self,
        name: str,
        server: Server,
        witness: Witness,
        randomness: random.Random,
        namespace: str = NAMESPACE,
    ) -> None:
        self._namespace = namespace
        self._name = name
        self._server = server
        self._witness = witness
        self._random = randomness
        self.is_reliable = False

    async def ask(self, request: Any) -> Any:
        """Call until a node answers: another one may own the workflow. Raises `Rejected` for an answer that counts."""
        for attempt in range(ANSWER_TRIES):
            try:
                return await self._server.call(request)
            except Rejected as refusal:
                if refusal.code not in AGAIN or attempt == ANSWER_TRIES - 1:
                    raise
            await self.pause(0.5)
        raise AssertionError("unreachable")

    async def insist(self, request: Any) -> Any:
        """As `ask`; None if the server does not take the request, or does not say so."""
        try:
            return await self.ask(request)
        except Rejected:
            return None

    async def repeat(self, request: Any) -> None:
        """Send an answer again that was taken: it must not count twice."""
        try:
            await self._server.call(request)
        except Rejected as refusal:
            if refusal.code in (Code.NOT_FOUND, *AGAIN):
                return
            raise AssertionError(f"an answer that came twice: {refusal.message}") from refusal
        raise AssertionError(f"an answer was taken twice: {type(request).__name__}")

    async def pause(self, max_s: float) -> None:
        await asyncio.sleep(self._random.uniform(0.05, max_s))

    async def pause_after(self, refusal: Rejected) -> None:
        """Leave the server alone for a while after it has refused a poll."""
        await self.pause(30.0 if refusal.code is Code.NOT_FOUND else 1.0)

    def misbehaves(self, rate: float) -> bool:
        return not self.is_reliable and self._random.random() < rate
