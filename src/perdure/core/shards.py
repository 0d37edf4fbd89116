"""Where a workflow id lives in the key space that nodes share out among themselves."""

from hashlib import blake2b


def shard_key(namespace_id: str, workflow_id: str) -> int:
    """Return the place of a workflow id: 0 … 2³²-1. It never changes: it is stored with every row."""
    digest = blake2b(f"{namespace_id}\0{workflow_id}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")
