"""Opens connections to PostgreSQL, and turns their errors into those of `store.port`."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import asyncpg

from perdure.store.port import Conflict, StoreError, Unavailable
from perdure.store.postgres import statements

# These are strings, because only the type checker knows the classes as generic.
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
#: A connection from the pool, in a wrapper.
Borrowed: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

OLDEST_SERVER = 15
CONNECT_TIMEOUT_S = 5.0
#: A little more than the server's own `statement_timeout`, whose error says more.
COMMAND_TIMEOUT_S = 12.0
#: A renewal may take so long. Two of them fit into the time for which a lease is trusted.
RENEWAL_TIMEOUT_S = 3
#: A connection that gets no answer for so long is dead.
_DEAD_AFTER_S = 10
_KEEPALIVE = {
    "TCP_KEEPIDLE": 5,
    "TCP_KEEPINTVL": 2,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": _DEAD_AFTER_S * 1000,
}


#: The driver's errors for a connection that is gone, or that could not be opened.
GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InterfaceError,
    # If the server ends a session between two messages, the driver may be in a state that it does not expect.
    asyncpg.InternalClientError,
    ConnectionError,
)


class Disconnected(Unavailable):
    """The connection is gone, or could not be opened. A new one may work."""


@contextmanager
def opening() -> Iterator[None]:
    """Like `guarded`, but a value that the driver refuses comes from the URL."""
    try:
        with guarded():
            yield
    except ValueError as error:
        raise StoreError(f"the URL of the database is wrong: {_line(error)}") from error


@contextmanager
def guarded() -> Iterator[None]:
    """Turn the driver's errors into those of the port."""
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise Conflict(_line(error)) from error
    except asyncpg.InvalidCatalogNameError as error:
        raise StoreError(f"PostgreSQL: {_line(error)}") from error
    except ValueError:
        # The driver refuses a value before it asks the database. That is a bug, which `Unavailable` would hide.
        raise
    except asyncpg.QueryCanceledError as error:
        raise Unavailable(f"PostgreSQL: {_line(error)}") from error
    except GONE as error:
        raise Disconnected(f"PostgreSQL: {_line(error)}") from error
    except (asyncpg.PostgresError, OSError) as error:
        raise Unavailable(f"PostgreSQL: {_line(error)}") from error


def _line(error: BaseException) -> str:
    """Return the first line of the message of `error`. Further lines may quote rows."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def new_pool(url: str, size: int) -> Pool:
    """Return a pool for this process. It opens connections when they are needed, and closes idle ones."""
    return asyncpg.create_pool(
        url,
        min_size=0,
        max_size=size,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        target_session_attrs=asyncpg.connect_utils.SessionAttribute.read_write,
        init=_prepare,
        reset=_keep,
    )


async def connect(url: str) -> Connection:
    """Return one connection without a timeout, for work on the schema."""
    with opening():
        return await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S)


async def connect_to_renew(url: str) -> Connection:
    """Return a connection for renewals of leases alone. A statement of it is given up early, on both sides."""
    connection: Connection = await asyncpg.connect(
        url, target_session_attrs=asyncpg.connect_utils.SessionAttribute.read_write
    )
    try:
        await _prepare(connection)
        await connection.execute(f"SET statement_timeout = '{RENEWAL_TIMEOUT_S}s'")
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _prepare(connection: Connection) -> None:
    if connection.get_server_version().major < OLDEST_SERVER:
        raise StoreError(
            f"PostgreSQL {connection.get_server_version().major} is too old:"
            f" perdure needs {OLDEST_SERVER} or newer"
        )
    await connection.execute(statements.OPENING)
    _keep_alive(connection)


async def _keep(connection: Connection) -> None:
    """Leave the session as it is between two uses: nobody changes it, and a reset costs a round trip."""


def _keep_alive(connection: Connection) -> None:
    # The driver has no setting for this.
    transport = connection._transport  # type: ignore[attr-defined]
    wire = transport.get_extra_info("socket")
    if wire is None or wire.family not in (socket.AF_INET, socket.AF_INET6):
        return
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        # A system may lack some of them.
        if (option := getattr(socket, name, None)) is not None:
            wire.setsockopt(socket.IPPROTO_TCP, option, value)
