"""Holds the namespaces in memory, by name and by id, and writes changes to the store.

A change is written first and visible afterwards. A node sees the changes of another one within `REFRESH_EVERY_S`, and
looks a name that it does not know up in the store at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Container, Iterable, Mapping
from contextlib import suppress
from itertools import count

import msgspec
import structlog
from temporalio.api.enums.v1 import IndexedValueType, NamespaceState
from temporalio.api.errordetails.v1 import NamespaceAlreadyExistsFailure, NamespaceNotFoundFailure
from temporalio.api.taskqueue.v1 import TaskQueueConfig

from perdure.core.errors import Code, Rejected, unavailable
from perdure.core.search_attributes import TYPES_BY_NAME
from perdure.core.visibility.attributes import Attribute, CustomAttribute
from perdure.core.visibility.filters import Filter, IsNull
from perdure.runtime import attribute_periods
from perdure.runtime.attribute_periods import AttributePeriods
from perdure.runtime.visibility import is_current
from perdure.store.port import Conflict, NamespaceRow, Store, StoreError

log = structlog.get_logger(__name__)

REFRESH_EVERY_S = 10.0
#: Others may change a namespace meanwhile, so many times.
UPDATE_TRIES_MAX = 100
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
    #: None: it is from before that was kept.
    attribute_periods: AttributePeriods | None = None
    #: `TaskQueueType` and name, as in "2:queue" → serialized `TaskQueueConfig`.
    task_queue_configs: dict[str, bytes] = {}
    #: Made by the server at its start.
    is_built_in: bool = False
    #: Set: all that is in it is being deleted, and then it goes itself. A state of `DELETED` alone deletes nothing.
    deletion: Deletion | None = None
    version: int = 1

    @property
    def periods(self) -> AttributePeriods:
        return attribute_periods.known(self.attribute_periods, self.search_attribute_aliases)

    def custom_attributes(self) -> Mapping[str, CustomAttribute]:
        """Return the custom search attributes by their names."""
        return attribute_periods.custom_attributes(self.periods, self.search_attribute_aliases)

    def filter_fields(self) -> Mapping[str, str]:
        """Return the names in filters whose meaning differs between namespaces: name → field."""
        return attribute_periods.filter_fields(self.periods, self.search_attribute_aliases)

    def stored_attribute_names(self) -> Mapping[str, str] | None:
        """Return which search attributes of its rows count: name there → name. None: all of them."""
        return attribute_periods.stored_names(self.periods, self.search_attribute_aliases)

    def search_attribute_types(self) -> Mapping[str, IndexedValueType.ValueType]:
        """Return the custom search attributes: name → type."""
        return {
            alias: TYPES_BY_NAME[field.rstrip("0123456789")]
            for field, alias in self.search_attribute_aliases.items()
        }


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Namespace)


class Namespaces:
    def __init__(
        self, store: Store, fresh_id: Callable[[], str], now_ns: Callable[[], int]
    ) -> None:
        self._store = store
        self._now_ns = now_ns
        #: Whether visibility shows everything that was written until some time. Raises `StoreError`.
        self.is_shown: Callable[[int], Awaitable[bool]] = _at_once
        self._fresh_id = fresh_id
        self._by_name: dict[str, Namespace] = {}
        self._by_id: dict[str, Namespace] = {}
        self._types: dict[str, Mapping[str, IndexedValueType.ValueType]] = {}
        self._attributes: dict[str, Mapping[str, CustomAttribute]] = {}
        #: One reader or writer at a time: rows that were read before a change must not replace the changed ones.
        self._in_turn = asyncio.Lock()

    async def load(self) -> None:
        """Read all namespaces. Raises `StoreError`."""
        async with self._in_turn:
            rows = await self._store.namespaces()
            found = [each for row in rows if (each := _decoded(row)) is not None]
            self._by_name = {namespace.name: namespace for namespace in found}
            self._by_id = {namespace.id: namespace for namespace in found}
            self._types = {namespace.id: namespace.search_attribute_types() for namespace in found}
            self._attributes = {namespace.id: namespace.custom_attributes() for namespace in found}

    async def keep_fresh(self) -> None:
        """Read the changes of other nodes, for ever."""
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

    def custom_attributes(self, namespace_id: str) -> Mapping[str, CustomAttribute]:
        """Return the custom search attributes of a namespace by their names."""
        return self._attributes.get(namespace_id, {})

    def is_current_attribute(self, namespace_id: str, name: str, set_at_ns: int) -> bool:
        """Return whether a value was given to the search attribute that has this name now."""
        return is_current(self.custom_attributes(namespace_id), name, set_at_ns)

    def retention_ns(self, namespace_id: str) -> int:
        """Return how long a namespace keeps closed executions."""
        namespace = self._by_id.get(namespace_id)
        return namespace.retention_ns if namespace is not None else DAY_NS

    def task_queue_config(self, namespace_id: str, kind: int, name: str) -> TaskQueueConfig | None:
        """Return the settings that an operator has given to a task queue; None if there are none."""
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
        namespace = msgspec.structs.replace(namespace, attribute_periods=AttributePeriods())
        try:
            await self._put(namespace)
        except Conflict as error:
            await self._reload()
            raise _already_exists(namespace.name) from error
        return namespace

    async def update(self, name: str, change: Callable[[Namespace], Namespace]) -> Namespace:
        """Replace a namespace by the result of `change`, which may be called again with a newer one."""
        is_current = False
        for _ in range(UPDATE_TRIES_MAX):
            old = self.get(name)
            new = change(old)
            if new == old and is_current:
                return old
            if new != old:
                with suppress(Conflict):
                    return await self._put(msgspec.structs.replace(new, version=old.version + 1))
            # Another node has changed it, or may have: memory can be `REFRESH_EVERY_S` old.
            await self._reload()
            is_current = True
        raise unavailable(f"namespace {name} is changed by others again and again")

    async def ensure(self, namespaces: Iterable[Namespace]) -> None:
        """Add those that are not there, by name; add the search attributes of `namespaces` to those that are."""
        for wanted in namespaces:
            found = self._by_name.get(wanted.name)
            if found is None:
                await self.register(wanted)
            elif types := wanted.search_attribute_types():
                await self.add_search_attributes(wanted.name, types)

    async def add_search_attributes(
        self,
        name: str,
        types: Mapping[str, IndexedValueType.ValueType],
        check: Callable[[Namespace], None] = lambda _: None,
    ) -> None:
        """Add some to a namespace: name → type. Those that are there stay as they are. `check` may raise `Rejected`."""
        clean = await self.clean_columns(name, set(types.values()))

        def change(old: Namespace) -> Namespace:
            check(old)
            return with_names(old, types, self._now_ns(), clean)

        await self.update(name, change)

    async def remove_search_attributes(self, name: str, gone: Container[str]) -> None:
        await self.update(name, lambda old: without_names(old, gone, self._now_ns()))

    async def clean_columns(
        self, name: str, kinds: Collection[IndexedValueType.ValueType]
    ) -> frozenset[str]:
        """Return the columns of removed attributes that are known to be empty again."""
        namespace, now_ns = self.get(name), self._now_ns()
        columns = attribute_periods.to_look_at(namespace.periods, kinds, now_ns)
        clean = set()
        try:
            if not columns or not await self.is_shown(now_ns - attribute_periods.ALL_ARRIVED_NS):
                return frozenset()
            for column in columns:
                has_values = IsNull(Attribute(column, column), is_negated=True)
                found = await self._store.list_visibility(
                    namespace.id, limit=1, after=None, filter=Filter(has_values, archetype=None)
                )
                if not found:
                    clean.add(column)
        except StoreError as error:
            raise unavailable(f"the store cannot be read: {error}") from error
        return frozenset(clean)

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
            self._attributes[namespace.id] = namespace.custom_attributes()
        return namespace

    def _forget_name(self, namespace_id: str) -> None:
        """Drop the old name of a namespace, which has another one now, or is gone."""
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
            self._attributes.pop(namespace_id, None)

    async def _reload(self) -> None:
        try:
            await self.load()
        except StoreError as error:
            raise unavailable(f"the store cannot be read: {error}") from error


def _decoded(row: NamespaceRow) -> Namespace | None:
    try:
        return _decoder.decode(row.data)
    except (msgspec.MsgspecError, ValueError) as error:
        # The server goes on with the other namespaces.
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


def without_names(namespace: Namespace, gone: Container[str], now_ns: int) -> Namespace:
    """Return `namespace` without some of its custom search attributes."""
    periods, aliases = namespace.periods, namespace.search_attribute_aliases
    for field, name in namespace.search_attribute_aliases.items():
        if name in gone:
            periods, aliases = attribute_periods.detached(periods, aliases, field, now_ns=now_ns)
    return with_attributes(namespace, periods, aliases)


def with_names(
    namespace: Namespace,
    names: Mapping[str, IndexedValueType.ValueType],
    now_ns: int,
    clean: Collection[str],
) -> Namespace:
    """Return `namespace` with custom search attributes added: name → type. Those that are there stay as they are.

    `clean`: see `attribute_periods.attached`.
    """
    periods, aliases = namespace.periods, namespace.search_attribute_aliases
    type_names = {kind: name for name, kind in TYPES_BY_NAME.items()}
    for name, kind in names.items():
        if name in aliases.values():
            continue
        numbered = (f"{type_names[kind]}{number:02}" for number in count(1))
        field = next(each for each in numbered if each not in aliases)
        periods, aliases = attribute_periods.attached(
            periods, aliases, field, name, now_ns=now_ns, clean=clean
        )
    return with_attributes(namespace, periods, aliases)


def with_attributes(
    namespace: Namespace, periods: AttributePeriods, aliases: dict[str, str]
) -> Namespace:
    """Return `namespace` with other custom search attributes; itself if they are the same."""
    if aliases == namespace.search_attribute_aliases:
        return namespace
    return msgspec.structs.replace(
        namespace, attribute_periods=periods, search_attribute_aliases=aliases
    )


async def _at_once(until_ns: int) -> bool:
    return True


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
