"""The composition root of `perdure schema rebuild-lists`: it picks the store, as `server` does for a server."""

import uuid

from perdure.runtime.maintenance.visibility_rebuild import rebuild_lists
from perdure.store.open import open_store


async def rebuild_lists_of(url: str) -> int:
    """Return how many visibility rows there are now. Raises `StoreError`."""
    store = open_store(url)
    await store.open()
    try:
        return await rebuild_lists(store, f"rebuild-lists:{uuid.uuid4()}")
    finally:
        await store.close()
