"""Deletes a namespace: its name is free at once, and its executions are deleted in the background.

The namespace's own row says that it is being deleted, and how far that has come. So the node that serves after a crash
goes on where the last one ended: every step can be done again. Runs go first, the row goes last.
"""

import asyncio
from collections.abc import Container

import msgspec
import structlog
from temporalio.api.enums.v1 import NamespaceState

from perdure.core.errors import Code, Rejected
from perdure.core.execution.key import ExecutionKey
from perdure.runtime.executions import Executions
from perdure.runtime.maintenance.retention import RUNS_AT_ONCE_MAX, Remover, at_once
from perdure.runtime.maintenance.visibility_replicator import VisibilityReplicator
from perdure.runtime.namespaces import REFRESH_EVERY_S, Deletion, Namespace, Namespaces
from perdure.store.port import NEVER_NS, ListedPlace, ListedRun, Store, StoreError

log = structlog.get_logger(__name__)

#: Calls that were let in before the deletion end, and other nodes hear of it.
GRACE_NS = int((REFRESH_EVERY_S + 2) * 1e9)
#: How often to look whether there is something to go on with.
LOOK_EVERY_S = 1.0
_SUFFIX_LENGTH_MIN = 5


class NamespaceDeletion:
    def __init__(
        self,
        executions: Executions,
        store: Store,
        namespaces: Namespaces,
        remover: Remover,
        replicator: VisibilityReplicator | None = None,
    ) -> None:
        self._executions = executions
        self._store = store
        self._replicator = replicator
        self._namespaces = namespaces
        self._remover = remover

    async def delete(self, namespace: Namespace, delay_ns: int) -> str:
        """Begin to delete it, or go on with another delay. Return the name that it has from now on."""
        now_ns = self._executions.clock.now_ns()

        def change(old: Namespace) -> Namespace:
            deletion = old.deletion or Deletion(now_ns)
            taken = {each.name for each in self._namespaces.listed() if each.id != old.id}
            return msgspec.structs.replace(
                old,
                name=deleted_name(old, taken),
                state=int(NamespaceState.NAMESPACE_STATE_DELETED),
                deletion=msgspec.structs.replace(deletion, delay_ns=delay_ns),
            )

        return (await self._namespaces.update(namespace.name, change)).name

    async def keep(self) -> None:
        """Delete the executions in deleted namespaces, and then the namespaces, for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for namespace in self._namespaces.being_deleted():
                if not self._executions.is_serving:
                    break
                try:
                    await self.go_on(namespace)
                except (Rejected, StoreError) as error:
                    log.warning(
                        "namespace not deleted; another try follows",
                        namespace=namespace.name,
                        error=str(error),
                    )

    async def go_on(self, namespace: Namespace) -> bool:
        """Go on as far as possible now. Return whether the namespace is gone. Raises `Rejected`, `StoreError`."""
        deletion, now_ns = namespace.deletion, self._executions.clock.now_ns()
        assert deletion is not None
        if now_ns < deletion.requested_at_ns + GRACE_NS:
            return False
        if deletion.emptied_at_ns and now_ns < deletion.emptied_at_ns + deletion.delay_ns:
            return False
        if await self._empty(namespace, deletion.requested_at_ns + GRACE_NS):
            return False
        if not deletion.emptied_at_ns:
            emptied = await self._namespaces.update(
                namespace.name, lambda old: _emptied(old, now_ns)
            )
            if emptied.deletion is not None and emptied.deletion.delay_ns:
                return False
        await self._namespaces.delete(namespace.id)
        log.info("namespace deleted", namespace=namespace.name, namespace_id=namespace.id)
        return True

    async def _empty(self, namespace: Namespace, ended_ns: int) -> int:
        """Delete all runs, of every archetype. Return how many there were: more may have come, or not be ready to go.

        Nobody could start a run after `ended_ns`. So once visibility shows that time and nothing in the namespace, it
        stays like that. Until visibility shows it, it counts as one run more. A run that was started before and is not
        durable yet is waited for: the store may take its time.
        """
        await self._executions.flush()
        count = int(self._replicator is not None and not await self._replicator.is_shown(ended_ns))
        after: ListedPlace | None = None
        while True:
            runs = await self._store.longest_closed(
                namespace.id,
                archetype=None,
                until_ns=NEVER_NS,
                limit=RUNS_AT_ONCE_MAX,
                after=after,
            )
            if not runs:
                return count
            runs = at_once(runs)
            count += len(runs)
            after = runs[-1].place
            closed = [run for run in runs if run.close_time_ns < NEVER_NS]
            if await self._remover.remove(namespace.id, closed) < len(runs):
                await self._delete_one_by_one(namespace, runs)

    async def _delete_one_by_one(self, namespace: Namespace, runs: list[ListedRun]) -> None:
        """Delete runs that are open, or have pending effects. A run that is gone already is no error."""
        await asyncio.gather(
            *(self._delete(self._remover.key(namespace.id, run)) for run in runs),
        )

    async def _delete(self, key: ExecutionKey) -> None:
        try:
            await self._executions.delete(key)
        except Rejected as refusal:
            if refusal.code is not Code.NOT_FOUND:
                raise


def _emptied(namespace: Namespace, now_ns: int) -> Namespace:
    assert namespace.deletion is not None
    deletion = msgspec.structs.replace(namespace.deletion, emptied_at_ns=now_ns)
    return msgspec.structs.replace(namespace, deletion=deletion)


def deleted_name(namespace: Namespace, taken: Container[str]) -> str:
    """Return the name that a namespace has while it is deleted: a part of its id tells those of one name apart."""
    for length in range(_SUFFIX_LENGTH_MIN, len(namespace.id) + 1):
        suffix = f"-deleted-{namespace.id[:length]}"
        if namespace.name.endswith(suffix):
            return namespace.name
        if namespace.name + suffix not in taken:
            return namespace.name + suffix
    raise Rejected(Code.INTERNAL, f"no name is left for the deleted namespace {namespace.name}")
