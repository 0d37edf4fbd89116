"""Bugs on purpose in the frontend, in what it keeps, and in how nodes share the key space; see `planted.py`."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from perdure.core.workflow.activities.heartbeats import HeartbeatActivity
from perdure.core.workflow.options_update import UpdateOptions
from perdure.dynamic_config import DynamicConfig
from perdure.frontend.rate_limits import RateLimits
from perdure.frontend.transport.status import Status, status_of
from perdure.runtime.namespaces import Namespace, Namespaces
from perdure.runtime.shard.leases import Leases
from perdure.runtime.shard.loading import Loading
from perdure.store.memory import MemoryStore
from perdure.store.port import SHARD_KEY_END, Lease
from perdure.testing.simulator.planted_control import not_persisted

Plant = Callable[[], AbstractContextManager[Any]]


def _every_client_is_answered() -> Any:
    return patch("perdure.frontend.dispatch.check_versions", lambda *_: None)


def _refusals_have_no_details() -> Any:
    def bare(refusal: Any) -> Status:
        return status_of(refusal)._replace(details=b"")

    return patch("perdure.testing.simulator.simulated_node.status_of", bare)


def _limits_stay() -> Any:
    """Limits that an operator lifts stay."""
    original = RateLimits.configure

    def configure(self: RateLimits, config: DynamicConfig) -> None:
        if not getattr(self, "is_on", False):
            original(self, config)

    return patch.object(RateLimits, "configure", configure)


def _heartbeats_are_not_persisted() -> Any:
    return not_persisted(HeartbeatActivity)


def _priorities_are_not_persisted() -> Any:
    return not_persisted(UpdateOptions)


def _namespaces_are_not_persisted() -> Any:
    """A change is kept in the memory of the node that was asked."""
    original = Namespaces._put

    async def put(self: Namespaces, namespace: Namespace) -> Namespace:
        if namespace.version == 1:
            return await original(self, namespace)
        self._forget_name(namespace.id)
        self._by_name[namespace.name] = self._by_id[namespace.id] = namespace
        return namespace

    return patch.object(Namespaces, "_put", put)


def _pages_begin_too_late() -> Any:
    original = MemoryStore.list_visibility

    async def later(self: MemoryStore, namespace_id: str, **others: Any) -> Any:
        rows = await original(self, namespace_id, **others)
        return rows[1:] if others["after"] is not None else rows

    return patch.object(MemoryStore, "list_visibility", later)


def _runs_of_others_are_taken_over() -> Any:
    original = Loading.take_over

    async def everything(self: Loading, leases: Iterable[Lease]) -> int:
        return await original(self, [Lease(0, SHARD_KEY_END, "", 0)])

    return patch.object(Loading, "take_over", everything)


def _every_workflow_is_answered_for() -> Any:
    return patch.object(Leases, "covers", lambda self, shard_key: True)


FRONT: dict[str, Plant] = {
    "a client of another age is answered": _every_client_is_answered,
    "refusals have no details": _refusals_have_no_details,
    "rate limits stay when they are lifted": _limits_stay,
    "heartbeats are not persisted": _heartbeats_are_not_persisted,
    "a run's priority is not persisted": _priorities_are_not_persisted,
    "changes of namespaces are not persisted": _namespaces_are_not_persisted,
    "a page of a list leaves out its first run": _pages_begin_too_late,
    "a node takes over runs of ranges that are not its own": _runs_of_others_are_taken_over,
    "a node answers for workflows that are not its own": _every_workflow_is_answered_for,
}
