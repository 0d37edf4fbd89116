"""Opens connections to PostgreSQL, and says in the words of `store.port` what goes wrong with them."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import asyncpg

from perdure.store.port import Conflict, StoreError, Unavailable
from perdure.store.postgres import statements

# Strings, as only the type checker knows these classes as generic.
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
#: What a pool hands out: a connection in a wrapper.
Borrowed: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

OLDEST_SERVER = 15
CONNECT_TIMEOUT_S = 5.0
#: A little more than the server's own `statement_timeout`, whose answer says more.
COMMAND_TIMEOUT_S = 12.0
#: Unanswered for so long, a connection is dead.
_DEAD_AFTER_S = 10
_KEEPALIVE = {
    "TCP_KEEPIDLE": 5,
    "TCP_KEEPINTVL": 2,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": _DEAD_AFTER_S * 1000,
}


#: What the driver raises when a connection is of no use any more, or there is none.
GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InterfaceError,
    # A session that the server ends between two messages can leave the driver in a state it does not expect.
    asyncpg.InternalClientError,
    ConnectionError,
)


class Disconnected(Unavailable):
    """There is no connection (any more): a new one may do."""


@contextmanager
def opening() -> Iterator[None]:
    """Like `guarded`, where a value that the driver refuses is the URL's and not ours."""
    try:
        with guarded():
            yield
    except ValueError as error:
        raise StoreError(f"the URL of the database is wrong: {_line(error)}") from error


@contextmanager
def guarded() -> Iterator[None]:
    """Turn what the driver raises into what the port promises."""
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise Conflict(_line(error)) from error
    except asyncpg.InvalidCatalogNameError as error:
        raise StoreError(f"PostgreSQL: {_line(error)}") from error
    except ValueError:
        # The driver refuses a value before it asks the database: a bug of ours, which an Unavailable would hide.
        raise
    except asyncpg.QueryCanceledError as error:
        raise Unavailable(f"PostgreSQL: {_line(error)}") from error
    except GONE as error:
        raise Disconnected(f"PostgreSQL: {_line(error)}") from error
    except (asyncpg.PostgresError, OSError) as error:
        raise Unavailable(f"PostgreSQL: {_line(error)}") from error


def _line(error: BaseException) -> str:
    """Return the first line of what `error` says; further ones may quote rows."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def new_pool(url: str, size: int) -> Pool:
    """Return a pool for this process. It opens no connection before one is asked for, and keeps none open for ever."""
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
    """Return one connection, for work on the schema: that may take as long as it needs."""
    with opening():
        return await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S)


async def _prepare(connection: Connection) -> None:
    if connection.get_server_version().major < OLDEST_SERVER:
        raise StoreError(
            f"PostgreSQL {connection.get_server_version().major} is too old:"
            f" perdure needs {OLDEST_SERVER} or newer"
        )
    await connection.execute(statements.OPENING)
    _keep_alive(connection)


async def _keep(connection: Connection) -> None:
    """Leave the session as it is between two uses: nobody changes it, and resetting it costs a round trip."""


def _keep_alive(connection: Connection) -> None:
    # The driver has no setting for this.
    transport = connection._transport  # type: ignore[attr-defined]
    wire = transport.get_extra_info("socket")
    if wire is None or wire.family not in (socket.AF_INET, socket.AF_INET6):
        return
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        # Not every system has all of them.
        if (option := getattr(socket, name, None)) is not None:
            wire.setsockopt(socket.IPPROTO_TCP, option, value)
