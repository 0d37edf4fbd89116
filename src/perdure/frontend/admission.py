"""Refuses to start new work while the node is overloaded.

Completions and polls are answered: they are how the work that is there comes to its end.
"""

from collections.abc import Callable
from typing import Any

from temporalio.api.enums.v1 import ResourceExhaustedCause, ResourceExhaustedScope

from perdure.frontend.rate_limits import exhausted
from perdure.frontend.registry import Handler

#: The RPCs that start work which goes on after they are answered.
STARTS = frozenset(
    (
        "StartWorkflowExecution",
        "SignalWithStartWorkflowExecution",
        "ExecuteMultiOperation",
        "StartActivityExecution",
        "StartBatchOperation",
    )
)
_CAUSE = ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_SYSTEM_OVERLOADED
_SCOPE = ResourceExhaustedScope.RESOURCE_EXHAUSTED_SCOPE_SYSTEM


def admitting(name: str, handler: Handler, is_overloaded: Callable[[], bool]) -> Handler:
    """Return the handler of an RPC that asks first whether there is too much to do, if the RPC starts work."""
    if name not in STARTS:
        return handler

    def admit(request: Any, call: Any) -> Any:
        if is_overloaded():
            raise exhausted("service is overloaded", _CAUSE, _SCOPE)
        return handler(request, call)

    return admit
