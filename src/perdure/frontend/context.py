"""All handlers share one context: the node, its namespaces and limits, and the names of the cluster."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from temporalio.api.enums.v1 import NamespaceState
from temporalio.api.errordetails.v1 import NamespaceInvalidStateFailure

from perdure.core.errors import Code, Rejected, invalid_argument
from perdure.core.limits import Limits
from perdure.frontend.call import Call
from perdure.frontend.tokens import TaskToken, task_token
from perdure.frontend.validation.fields import is_too_long
from perdure.runtime.namespaces import Namespace, Namespaces
from perdure.runtime.node import Node

#: A poll ends this long before its caller's deadline, so that the caller gets an answer.
POLL_MARGIN_S = 1.0
POLL_MIN_S = 2.0
#: A call that waits ends up to this part of its time early: calls that came together do not come again together.
SPREAD = 0.1

_STATE_NAMES = {
    NamespaceState.NAMESPACE_STATE_REGISTERED: "Registered",
    NamespaceState.NAMESPACE_STATE_DEPRECATED: "Deprecated",
    NamespaceState.NAMESPACE_STATE_DELETED: "Deleted",
}
_ALLOWED_TO_START = (NamespaceState.NAMESPACE_STATE_REGISTERED,)
_ALLOWED = (*_ALLOWED_TO_START, NamespaceState.NAMESPACE_STATE_DEPRECATED)


class Addresses(NamedTuple):
    """The addresses at which clients reach this server, as in "127.0.0.1:7233"; empty without an open port."""

    grpc: str = ""
    http: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    node: Node
    cluster_name: str = "active"
    cluster_id: str = ""
    #: The kinds of the main database and of the one for visibility, for `GetClusterInfo`.
    store_name: str = ""
    visibility_store_name: str = ""
    #: Known only when the ports are open.
    addresses: Callable[[], Addresses] = Addresses

    @property
    def namespaces(self) -> Namespaces:
        return self.node.namespaces

    def limits(self, namespace: str) -> Limits:
        """Return the present limits of the namespace with this name. They may change while the server runs."""
        return self.node.limits.of(namespace)

    def check_length(self, name: str) -> None:
        # One limit for all namespaces: the name may be of none.
        if is_too_long(name, self.limits("")):
            raise invalid_argument("Namespace length exceeds limit.")

    def namespace(
        self, name: str, allowed: Sequence[NamespaceState.ValueType] = _ALLOWED
    ) -> Namespace:
        """Return the namespace that a request names. Raises `Rejected`, also if the namespace is deleted."""
        return _in_state(self._named(name), allowed)

    def _named(self, name: str) -> Namespace:
        if not name:
            raise invalid_argument("Namespace is empty.")
        self.check_length(name)
        try:
            return self.namespaces.get(name)
        except Rejected as refusal:
            self.node.executions.check_serving()
            raise refusal

    def namespace_to_start_in(self, name: str) -> Namespace:
        """Like `namespace`, for a request that starts a workflow: a deprecated namespace takes no new workflows."""
        return self.namespace(name, _ALLOWED_TO_START)

    def check_optional_namespace(self, name: str) -> None:
        """Like `namespace`, for a request that need not name one."""
        if name:
            self.namespace(name)

    def check_namespace(self, name: str) -> None:
        """Raise `Rejected` if the name is neither empty nor that of a namespace."""
        if name:
            self.check_length(name)
            self.namespaces.get(name)

    def token(self, encoded: bytes, namespace: str) -> TaskToken:
        """Decode a task token. If the request names a namespace, check that the token belongs to it."""
        # Temporal: a missing namespace is refused before the token is read, a deleted one after.
        named = self._named(namespace) if namespace else None
        token = task_token(encoded)
        if named is None:
            named = self.namespaces.get_by_id(token.namespace_id)
        elif named.id != token.namespace_id:
            raise invalid_argument("Operation requested with a token from a different namespace.")
        _in_state(named, _ALLOWED)
        return token

    def poll_deadline(self, call: Call, namespace: str, task_queue: str, task_type: int) -> float:
        """Return the event loop's time at which a worker's poll must be answered."""
        now = asyncio.get_running_loop().time()
        if call.deadline is None:
            raise invalid_argument("Context timeout is not set.")
        if call.deadline - now < POLL_MIN_S:
            raise Rejected(Code.FAILED_PRECONDITION, "Context timeout is too short.")
        longest_s = self.node.limits.task_poll_s(namespace, task_queue, task_type)
        return self.spread(now, min(call.deadline - POLL_MARGIN_S, now + longest_s))

    def spread(self, now: float, latest: float) -> float:
        """Return the time at which a call that waits from now on should end, if nothing happens until `latest`."""
        return latest - (latest - now) * SPREAD * self.node.chance()


def _in_state(namespace: Namespace, allowed: Sequence[NamespaceState.ValueType]) -> Namespace:
    if namespace.state in allowed:
        return namespace
    state = NamespaceState.ValueType(namespace.state)
    wanted = " or ".join(_STATE_NAMES[each] for each in allowed)
    raise Rejected(
        Code.FAILED_PRECONDITION,
        f"Namespace has invalid state: {_STATE_NAMES[state]}. Must be {wanted}.",
        NamespaceInvalidStateFailure(namespace=namespace.name, state=state, allowed_states=allowed),
    )
