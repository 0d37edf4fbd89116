"""The port of a store whose visibility may be in a second database.

`VisibilityReplicator` carries visibility rows from the outbox of the main database to the second one; `store.split`
implements both sides.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from perdure.core.execution.key import ExecutionKey
from perdure.store.port import OutboxRow, RenewalPath, Store, VisibilityRow


class OutboxSize(NamedTuple):
    rows: int
    #: When the row with the smallest position was written; 0 if there is none, or if nobody knows.
    oldest_at_ns: int


class OutboxStore(Store, Protocol):
    """A store that can be the main one of two."""

    async def stored_visibility(self, limit: int, after: str = "") -> list[VisibilityRow]:
        """Return visibility rows of this database, of any namespace, by run id: those after the run id `after`."""

    async def runs(self, after: ExecutionKey | None, limit: int) -> list[ExecutionKey]:
        """Return the keys of all runs, in an order of the store's own. `after` is the last key of the page before."""

    async def has_external_visibility(self) -> bool:
        """Whether visibility is in a second database, by the last `set_external_visibility`."""

    async def set_external_visibility(self, is_external: bool) -> None: ...

    async def outbox(self, limit: int) -> list[OutboxRow]:
        """Return the first rows by position. The rows of one run were committed in that order."""

    async def outbox_size(self) -> OutboxSize: ...

    async def trim_outbox(self, positions: Sequence[int]) -> None:
        """Delete exactly these rows. It is no error if they are gone already."""


class ServerStore(OutboxStore, Protocol):
    """A store that a server runs on."""

    def renewal_path(self) -> RenewalPath:
        """Return a new path to the same database. It works while the store is open."""


class ExternalVisibility(Protocol):
    """The outbox of the main database, and the second database."""

    #: Set when the outbox has something new. The reader clears it before it reads.
    arrived: asyncio.Event

    async def second(self) -> Store:
        """Return the second database, open. Raises `Unavailable`, or `StoreError` if it cannot be used at all."""

    def changes(self, rows: Sequence[OutboxRow]) -> tuple[list[VisibilityRow], list[ExecutionKey]]:
        """Return the rows to write and the runs to delete, so that visibility is as it is after all of `rows`."""

    async def outbox(self, limit: int) -> list[OutboxRow]: ...

    async def outbox_size(self) -> OutboxSize: ...

    async def trim_outbox(self, positions: Sequence[int]) -> None: ...
