"""The namespaces: kept by the store, held in memory, known by name and by id.

A change is written first and seen afterwards. What another node changed is seen within `REFRESH_EVERY_S`, and a name
that is not known yet is looked up in the store at once.
"""

import asyncio
from collections.abc import Callable, Container, Iterable, Mapping
from functools import partial

import msgspec
import structlog
from temporalio.api.enums.v1 import IndexedValueType, NamespaceState
from temporalio.api.errordetails.v1 import NamespaceAlreadyExistsFailure, NamespaceNotFoundFailure
from temporalio.api.taskqueue.v1 import TaskQueueConfig

from perdure.core.errors import Code, Rejected
from perdure.core.search_attributes import TYPES_BY_NAME
from perdure.runtime.group_commit import unavailable
from perdure.store.port import Conflict, NamespaceRow, Store, StoreError

log = structlog.get_logger(__name__)

REFRESH_EVERY_S = 10.0
HOUR_NS = 3600 * 10**9
DAY_NS = 24 * HOUR_NS
SYSTEM_ID = "32049b68-7872-4094-8e63-d0dd59896a83"
SYSTEM_NAME = "temporal-system"


class BadBinary(msgspec.Struct, frozen=True):
    reason: str
    operator: str
    created_at_ns: int


class Deletion(msgspec.Struct, frozen=True):
    """How far the deletion of a namespace has come."""

    requested_at_ns: int
    #: How long the namespace itself stays when nothing is left in it.
    delay_ns: int = 0
    #: 0: something may be left in it.
    emptied_at_ns: int = 0


class Namespace(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    #: `NamespaceState`.
    state: int = NamespaceState.NAMESPACE_STATE_REGISTERED
    description: str = ""
    owner_email: str = ""
    data: dict[str, str] = {}
    retention_ns: int = DAY_NS
    bad_binaries: dict[str, BadBinary] = {}
    #: Field name ("Int01") → the name that users gave it. The field's name tells its type.
    search_attribute_aliases: dict[str, str] = {}
    #: `TaskQueueType` and name, as in "2:queue" → serialized `TaskQueueConfig`.
    task_queue_configs: dict[str, bytes] = {}
    #: Made by the server at its start.
    is_built_in: bool = False
    #: Set: all that is in it is being deleted, and then it goes itself. A state of `DELETED` alone deletes nothing.
    deletion: Deletion | None = None
    version: int = 1

    def search_attribute_fields(self) -> Mapping[str, str]:
        """Return the fields of the custom search attributes: name → field."""
        return {alias: field for field, alias in self.search_attribute_aliases.items()}

    def search_attribute_types(self) -> Mapping[str, IndexedValueType.ValueType]:
        """Return the custom search attributes: name → type."""
        return {
            alias: TYPES_BY_NAME[field.rstrip("0123456789")]
            for field, alias in self.search_attribute_aliases.items()
        }


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Namespace)


class Namespaces:
    def __init__(self, store: Store, fresh_id: Callable[[], str]) -> None:
        self._store = store
        self._fresh_id = fresh_id
        self._by_name: dict[str, Namespace] = {}
        self._by_id: dict[str, Namespace] = {}
        self._types: dict[str, Mapping[str, IndexedValueType.ValueType]] = {}
        self._fields: dict[str, Mapping[str, str]] = {}
        #: What was read before a change must not replace what was written by it.
        self._in_turn = asyncio.Lock()

    async def load(self) -> None:
        """Read all namespaces. Raises `StoreError`."""
        async with self._in_turn:
            rows = await self._store.namespaces()
            found = [each for row in rows if (each := _decoded(row)) is not None]
            self._by_name = {namespace.name: namespace for namespace in found}
            self._by_id = {namespace.id: namespace for namespace in found}
            self._types = {namespace.id: namespace.search_attribute_types() for namespace in found}
            self._fields = {
                namespace.id: namespace.search_attribute_fields() for namespace in found
            }

    async def keep_fresh(self) -> None:
        """See what other nodes change, for ever."""
        while True:
            await asyncio.sleep(REFRESH_EVERY_S)
            try:
                await self.load()
            except StoreError as error:
                log.warning("namespaces not read again", error=str(error))

    # Reading

    def get(self, name: str) -> Namespace:
        namespace = self._by_name.get(name)
        if namespace is None:
            raise not_found(name)
        return namespace

    def get_by_id(self, namespace_id: str) -> Namespace:
        namespace = self._by_id.get(namespace_id)
        if namespace is None:
            raise not_found(namespace_id)
        return namespace

    def name_of(self, namespace_id: str) -> str:
        """Return the name of a namespace; empty if it is not known."""
        namespace = self._by_id.get(namespace_id)
        return namespace.name if namespace is not None else ""

    def id_of(self, name: str) -> str:
        """Return the id of a namespace; empty if it is not known."""
        namespace = self._by_name.get(name)
        return namespace.id if namespace is not None else ""

    def search_attribute_types(self, namespace_id: str) -> Mapping[str, IndexedValueType.ValueType]:
        """Return the custom search attributes of a namespace: name → type."""
        return self._types.get(namespace_id, {})

    def search_attribute_fields(self, namespace_id: str) -> Mapping[str, str]:
        """Return where the custom search attributes of a namespace are stored: name → field."""
        return self._fields.get(namespace_id, {})

    def retention_ns(self, namespace_id: str) -> int:
        """Return for how long the closed runs of a namespace are kept."""
        namespace = self._by_id.get(namespace_id)
        return namespace.retention_ns if namespace is not None else DAY_NS

    def task_queue_config(self, namespace_id: str, kind: int, name: str) -> TaskQueueConfig | None:
        """Return what an operator has set for a task queue; None if nobody has."""
        namespace = self._by_id.get(namespace_id)
        encoded = namespace and namespace.task_queue_configs.get(f"{kind}:{name}")
        return TaskQueueConfig.FromString(encoded) if encoded else None

    def listed(self) -> list[Namespace]:
        """Return all, in the order of their ids."""
        return [self._by_id[namespace_id] for namespace_id in sorted(self._by_id)]

    def being_deleted(self) -> list[Namespace]:
        return [each for each in self._by_id.values() if each.deletion is not None]

    # Writing

    async def register(self, namespace: Namespace) -> Namespace:
        """Add one; its id is made here if it has none. Raises `Rejected` if there is one of that name."""
        if namespace.name in self._by_name:
            raise _already_exists(namespace.name)
        if not namespace.id:
            namespace = msgspec.structs.replace(namespace, id=self._fresh_id())
        try:
            await self._put(namespace)
        except Conflict as error:
            await self._reload()
            raise _already_exists(namespace.name) from error
        return namespace

    async def update(self, name: str, change: Callable[[Namespace], Namespace]) -> Namespace:
        """Replace one by what `change` makes of it; `change` may be called again with a newer one."""
        while True:
            old = self.get(name)
            new = change(old)
            if new == old:
                return old
            try:
                return await self._put(msgspec.structs.replace(new, version=old.version + 1))
            except Conflict:
                await self._reload()

    async def ensure(self, namespaces: Iterable[Namespace]) -> None:
        """Add those that are not there, by name; add the search attributes of `namespaces` to those that are."""
        for wanted in namespaces:
            found = self._by_name.get(wanted.name)
            if found is None:
                await self.register(wanted)
            else:
                types = wanted.search_attribute_types()
                await self.update(wanted.name, partial(with_names, names=types))

    async def _put(self, namespace: Namespace) -> Namespace:
        row = NamespaceRow(
            namespace.id, namespace.name, _encoder.encode(namespace), namespace.version
        )
        async with self._in_turn:
            try:
                await self._store.put_namespace(row)
            except Conflict:
                raise
            except StoreError as error:
                raise unavailable(f"the store did not take the change: {error}") from error
            self._forget_name(namespace.id)
            self._by_name[namespace.name] = self._by_id[namespace.id] = namespace
            self._types[namespace.id] = namespace.search_attribute_types()
            self._fields[namespace.id] = namespace.search_attribute_fields()
        return namespace

    def _forget_name(self, namespace_id: str) -> None:
        """It has another one now, or none."""
        old = self._by_id.get(namespace_id)
        if old is not None:
            del self._by_name[old.name]

    async def delete(self, namespace_id: str) -> None:
        """Delete the namespace itself. Raises `StoreError`."""
        async with self._in_turn:
            await self._store.delete_namespace(namespace_id)
            self._forget_name(namespace_id)
            self._by_id.pop(namespace_id, None)
            self._types.pop(namespace_id, None)
            self._fields.pop(namespace_id, None)

    async def _reload(self) -> None:
        try:
            await self.load()
        except StoreError as error:
            raise unavailable(f"the store cannot be read: {error}") from error


def _decoded(row: NamespaceRow) -> Namespace | None:
    try:
        return _decoder.decode(row.data)
    except (msgspec.MsgspecError, ValueError) as error:
        # The others must not suffer from it.
        log.error("bug: a namespace cannot be read", namespace=row.name, error=str(error))
        return None


def aliases(types: Mapping[str, str]) -> dict[str, str]:
    """Return aliases for custom search attributes: name → type name, as in "Keyword", in; field → name, out."""
    found: dict[str, str] = {}
    counts: dict[str, int] = {}
    for name, kind in types.items():
        counts[kind] = counts.get(kind, 0) + 1
        found[f"{kind}{counts[kind]:02}"] = name
    return found


def with_task_queue_config(
    namespace: Namespace, kind: int, name: str, config: TaskQueueConfig
) -> Namespace:
    """Return `namespace` with the settings of one task queue replaced."""
    configs = {**namespace.task_queue_configs, f"{kind}:{name}": config.SerializeToString()}
    return msgspec.structs.replace(namespace, task_queue_configs=configs)


def without_names(namespace: Namespace, gone: Container[str]) -> Namespace:
    """Return `namespace` without some of its custom search attributes."""
    kept = {
        field: name
        for field, name in namespace.search_attribute_aliases.items()
        if name not in gone
    }
    return msgspec.structs.replace(namespace, search_attribute_aliases=kept)


def with_names(namespace: Namespace, names: Mapping[str, IndexedValueType.ValueType]) -> Namespace:
    """Return `namespace` with custom search attributes added: name → type. Those that are there stay as they are."""
    known = set(namespace.search_attribute_aliases.values())
    added = dict(namespace.search_attribute_aliases)
    type_names = {kind: name for name, kind in TYPES_BY_NAME.items()}
    for name, kind in names.items():
        if name in known:
            continue
        number = 1
        while f"{type_names[kind]}{number:02}" in added:
            number += 1
        added[f"{type_names[kind]}{number:02}"] = name
    return msgspec.structs.replace(namespace, search_attribute_aliases=added)


def not_found(name: str) -> Rejected:
    return Rejected(
        Code.NOT_FOUND,
        f"Namespace {name} is not found.",
        NamespaceNotFoundFailure(namespace=name),
    )


def _already_exists(name: str) -> Rejected:
    return Rejected(
        Code.ALREADY_EXISTS, f'Namespace "{name}" already exists', NamespaceAlreadyExistsFailure()
    )
