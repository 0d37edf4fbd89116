"""The key of an execution, and the place of its business id in the key space that nodes share out."""

from hashlib import blake2b
from typing import NamedTuple

#: The archetype of workflows. Rows from before there were archetypes are workflows.
WORKFLOW = 0


class ExecutionKey(NamedTuple):
    """Names one run. An empty `run_id` means the current (the latest) run of the business id."""

    shard_key: int
    #: The number of the archetype. It is stored with every row, so a number is used once.
    archetype: int
    namespace_id: str
    #: A workflow id, for instance. Executions of two archetypes may have the same one.
    business_id: str
    run_id: str

    @property
    def business_key(self) -> tuple[int, str, str]:
        """Return what all runs of one business id share."""
        return self[1:4]


def shard_key(namespace_id: str, business_id: str) -> int:
    """Return the place of a business id: 0 … 2³²-1. It never changes: it is stored with every row."""
    digest = blake2b(f"{namespace_id}\0{business_id}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")
