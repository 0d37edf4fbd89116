"""Rebuilds the visibility rows from the executions, in the main database: the way back from a second database.

No node serves meanwhile: the rebuild holds the leases. It may be interrupted, and begun again. The second database may
be lost.
"""

from perdure.core.archetypes import ARCHETYPES
from perdure.core.execution.archetype import VisibilityFields
from perdure.core.execution.environment import Environment
from perdure.core.execution.key import ExecutionKey
from perdure.core.limits import Limits
from perdure.runtime.namespaces import Namespaces
from perdure.runtime.visibility import visibility_row
from perdure.store.external_visibility import OutboxStore
from perdure.store.port import (
    Batch,
    LoadedRun,
    StoreError,
    cover_all,
)

RUNS_AT_ONCE = 200
TTL_NS = 60 * 10**9


async def rebuild_lists(store: OutboxStore, owner: str) -> int:
    """Return how many rows were made. `store` is open. Raises `StoreError`, also if a server has the database."""
    leases = await store.claim(owner, TTL_NS)
    try:
        if not cover_all(leases):
            raise StoreError("a server has the database, or had it a moment ago: stop it first")
        namespaces = Namespaces(store, lambda: "", lambda: 0)
        await namespaces.load()
        custom_attributes = namespaces.custom_attributes
        environment = Environment(
            Limits(), lambda: "", is_current_attribute=namespaces.is_current_attribute
        )
        count = 0
        after: ExecutionKey | None = None
        while keys := await store.runs(after, RUNS_AT_ONCE):
            await store.renew(leases, TTL_NS)
            rows = [
                visibility_row(key.archetype, _shown(key, loaded, environment), custom_attributes)
                for key, loaded in zip(keys, await store.load(keys), strict=True)
                if loaded is not None
            ]
            await store.commit(Batch(leases, visibility=rows))
            count += len(rows)
            after = keys[-1]
        # The rows that waited to go to the second database are among these.
        while waiting := await store.outbox(RUNS_AT_ONCE):
            await store.trim_outbox([row.position for row in waiting])
        await store.set_external_visibility(False)
        return count
    finally:
        await store.release(leases)


def _shown(key: ExecutionKey, loaded: LoadedRun, environment: Environment) -> VisibilityFields:
    archetype = ARCHETYPES[key.archetype]
    rows = ((each.events, each.internal) for each in loaded.journal)
    return archetype.visibility(archetype.load(loaded.row.snapshot, rows), environment)
