"""The key of an execution, and the place of its business id in the key space that nodes share out."""

from hashlib import blake2b
from typing import NamedTuple


class ExecutionKey(NamedTuple):
    """Which run. An empty `run_id` means the current (the latest) run of the workflow id."""

    shard_key: int
    namespace_id: str
    workflow_id: str
    run_id: str


def shard_key(namespace_id: str, workflow_id: str) -> int:
    """Return the place of a workflow id: 0 … 2³²-1. It never changes: it is stored with every row."""
    digest = blake2b(f"{namespace_id}\0{workflow_id}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")
