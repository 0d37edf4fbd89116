"""Renews leases in PostgreSQL over a connection of its own, which the pool does not know.

The driver waits on an event loop. So this has a loop of its own, which turns only while a renewal is under way.
"""

import asyncio
from collections.abc import Sequence

from perdure.store.port import Lease, LeaseLost
from perdure.store.postgres import statements
from perdure.store.postgres.connections import (
    RENEWAL_TIMEOUT_S,
    Connection,
    Disconnected,
    connect_to_renew,
    guarded,
)


class PostgresRenewal:
    """A `RenewalPath`. An idle connection may have died unnoticed, so a renewal tries twice."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: Connection | None = None

    def renew(self, leases: Sequence[Lease], ttl_ns: int) -> None:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        is_old = self._connection is not None
        try:
            is_held = self._loop.run_until_complete(self._ask(leases, ttl_ns))
        except Disconnected:
            if not is_old:
                raise
            is_held = self._loop.run_until_complete(self._ask(leases, ttl_ns))
        if not is_held:
            raise LeaseLost(
                f"{leases[0].owner} no longer holds epoch {leases[0].epoch}, or another"
            )

    async def _ask(self, leases: Sequence[Lease], ttl_ns: int) -> bool:
        columns = map(list, zip(*leases, strict=True))
        with guarded():
            try:
                async with asyncio.timeout(RENEWAL_TIMEOUT_S):
                    if self._connection is None:
                        self._connection = await connect_to_renew(self._url)
                    return bool(
                        await self._connection.fetchval(statements.RENEW, *columns, ttl_ns // 1000)
                    )
            except BaseException:
                # Whatever it was, a new connection is the better one.
                self._terminate()
                raise

    def close(self) -> None:
        loop, self._loop = self._loop, None
        if loop is None:
            return
        self._terminate()
        loop.run_until_complete(_turn())
        loop.close()

    def _terminate(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()


async def _turn() -> None:
    """Let the loop close what was terminated."""
    await asyncio.sleep(0)
