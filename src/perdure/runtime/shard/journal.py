"""Reads the journal of an execution from the store. If the store cannot be read, it refuses in words of the API.

Only what is durable is there. Pages of history are cut out of it in `histories.py`.
"""

from perdure.core.errors import unavailable
from perdure.core.execution.key import ExecutionKey
from perdure.store.port import (
    UNBOUNDED,
    JournalRow,
    Store,
    StoreError,
)


async def journal_rows(
    store: Store,
    key: ExecutionKey,
    *,
    after_seq: int,
    limit: int,
    reverse: bool = False,
    with_internal: bool = False,
    until_event_id: int | None = None,
    bytes_max: int = UNBOUNDED,
) -> list[JournalRow]:
    """Return rows as `Store.history` does. Raises `Rejected` if the store cannot be read."""
    try:
        return await store.history(
            key.shard_key,
            key.run_id,
            after_seq=after_seq,
            limit=limit,
            reverse=reverse,
            with_internal=with_internal,
            until_event_id=until_event_id,
            bytes_max=bytes_max,
        )
    except StoreError as error:
        raise unavailable(f"the store cannot be read: {error}") from error
