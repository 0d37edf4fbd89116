"""Invokes completion callbacks: sends the request that the core has built, and gives the outcome to the run.

One attempt at a time; the run decides whether there is another one, and asks for it by its timers. A callback may hear
of an end twice.
"""

import asyncio
from collections.abc import Callable

import structlog

from perdure.core.execution.key import ExecutionKey
from perdure.core.workflow.callbacks import RecordAttempt
from perdure.core.workflow.effects import InvokeCallback
from perdure.core.workflow.nexus_completion import Verdict, verdict
from perdure.runtime.delivery.circuit_breaker import CircuitBreakers
from perdure.runtime.delivery.http_client import HttpClient, PostFailed, ThreadedHttpClient
from perdure.runtime.delivery.under_way import UnderWay
from perdure.runtime.executions import Executions

log = structlog.get_logger(__name__)


class OutboundCalls:
    def __init__(self, executions: Executions, chance: Callable[[], float]) -> None:
        self._executions = executions
        self._chance = chance
        #: The simulator has one without sockets.
        self.http_client: HttpClient = ThreadedHttpClient()
        self._breakers = CircuitBreakers()
        self._under_way = UnderWay(executions)

    def deliver(self, key: ExecutionKey, callback: InvokeCallback) -> None:
        """Begin, unless it is under way."""
        self._under_way.begin(
            (key.run_id, callback.number, callback.attempt),
            lambda generation: self._run(key, callback, generation),
        )

    async def stop(self) -> None:
        await self._under_way.stop()
        self.http_client.close()

    async def _run(self, key: ExecutionKey, callback: InvokeCallback, generation: int) -> None:
        outcome = await self._invoke_in_turn(key, callback)
        if outcome.failure:
            log.warning(
                "callback failed",
                namespace_id=key.namespace_id,
                workflow_id=key.business_id,
                run_id=key.run_id,
                url=callback.url,
                attempt=callback.attempt + 1,
                error=outcome.failure,
                may_retry=outcome.may_retry,
            )
        attempt = RecordAttempt(
            number=callback.number,
            attempt=callback.attempt,
            failure=outcome.failure,
            may_retry=outcome.may_retry,
            chance=self._chance(),
        )
        await self._under_way.until_recorded(
            key, callback, generation, lambda: self._executions.ask(key, attempt)
        )

    async def _invoke_in_turn(self, key: ExecutionKey, callback: InvokeCallback) -> Verdict:
        """Invoke it as soon as the circuit breaker of its receiver is closed."""
        clock = asyncio.get_running_loop().time
        limits = self._executions.environment_of(key.namespace_id).limits
        breaker = self._breakers.get(
            key.namespace_id, callback.url, limits.callback_breaker_open_ns / 1e9
        )
        period = await breaker.wait(clock)
        try:
            outcome = await self._invoke(key, callback)
        except asyncio.CancelledError:
            breaker.abandoned(period)
            raise
        except Exception as error:
            # The run waits for the end of the attempt, and asks for the next one.
            log.exception("bug: an outbound call failed")
            outcome = Verdict(f"internal error: {error}")
        # Temporal: a receiver that refuses for good is there.
        if not (outcome.failure and outcome.may_retry):
            breaker.succeeded(period)
        elif breaker.failed(period, clock()):
            log.warning("circuit breaker opened: a receiver of callbacks fails", url=callback.url)
        return outcome

    async def _invoke(self, key: ExecutionKey, callback: InvokeCallback) -> Verdict:
        if not callback.url.startswith(("http://", "https://")):
            # Temporal: a callback of the server itself is found by a token that the server gave; perdure gives none.
            return Verdict("handler error (BAD_REQUEST): invalid callback token", False)
        timeout_s = (
            self._executions.environment_of(key.namespace_id).limits.callback_timeout_ns / 1e9
        )
        try:
            answer = await self.http_client.post(
                callback.url, dict(callback.headers), callback.body, timeout_s
            )
        except PostFailed as error:
            return Verdict(f'Post "{callback.url}": {error}')
        return verdict(
            answer.status, answer.reason, answer.content_type, answer.retryable, answer.body
        )
