"""Tasks go back to where they came from if the answer that brings them does not reach anybody."""

from collections.abc import Callable

from perdure.core.errors import Rejected
from perdure.core.execution.key import ExecutionKey
from perdure.core.workflow.returning import Return
from perdure.runtime.shard.engine import Engine

#: To be called if the answer of a call is lost, each once. Whoever starts a task adds to it before anybody can be lost.
GiveBacks = list[Callable[[], object]]


def give_back(engine: Engine, key: ExecutionKey, request: Return) -> bool:
    """Have a started task wait for the next worker; return False if it was not started, or is no longer.

    A run that is not in memory has dispatched its task again when it came back there.
    """
    live = engine.cache.peek(key) if engine.is_serving else None
    if live is None:
        return False
    try:
        engine.advance(live, request)
    except Rejected:
        return False
    return True
