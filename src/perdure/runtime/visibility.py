"""Makes the visibility row of an execution, and indexes rows that an older version wrote."""

from collections.abc import Callable, Mapping

import structlog
from temporalio.api.common.v1 import SearchAttributes

from perdure.core.execution.archetype import VisibilityFields
from perdure.core.execution.key import shard_key
from perdure.core.search_attributes import PREDEFINED
from perdure.core.visibility.attributes import CustomAttribute
from perdure.core.visibility.indexing import indexed
from perdure.store.port import Batch, Lease, Store, VisibilityRow

log = structlog.get_logger(__name__)

#: Namespace id → its custom search attributes by their names.
CustomAttributes = Callable[[str], Mapping[str, CustomAttribute]]
_INDEXED_AT_ONCE = 500


def visibility_row(
    archetype: int, shown: VisibilityFields, custom_attributes: CustomAttributes
) -> VisibilityRow:
    """Return the row of `shown`, in which attributes have the names that the store knows them by."""
    custom = custom_attributes(shown.namespace_id)
    compared = indexed(shown.search_attributes, custom)
    return VisibilityRow(
        namespace_id=shown.namespace_id,
        run_id=shown.run_id,
        workflow_id=shown.business_id,
        workflow_type=shown.type_name,
        task_queue=shown.task_queue,
        status=shown.status,
        start_time_ns=shown.start_time_ns,
        execution_time_ns=shown.execution_time_ns,
        close_time_ns=shown.close_time_ns,
        history_length=shown.history_length,
        history_size_bytes=shown.history_size_bytes,
        state_transition_count=shown.state_transition_count,
        memo=shown.memo.SerializeToString(),
        search_attributes=_stored(shown.search_attributes, custom).SerializeToString(),
        parent_workflow_id=shown.parent_business_id,
        parent_run_id=shown.parent_run_id,
        root_workflow_id=shown.root_business_id,
        root_run_id=shown.root_run_id,
        attributes=compared,
        archetype=archetype,
    )


def is_current(custom: Mapping[str, CustomAttribute], name: str, set_at_ns: int) -> bool:
    """Return whether a value was given to the attribute that has this name now."""
    attribute = custom.get(name)
    return name in PREDEFINED or (attribute is not None and set_at_ns >= attribute.since_ns)


def _stored(
    attributes: SearchAttributes, custom: Mapping[str, CustomAttribute]
) -> SearchAttributes:
    """Return the attributes as a row calls them."""
    if not custom:
        return attributes
    fields = attributes.indexed_fields
    for name in [name for name in fields if name in custom and custom[name].since_ns]:
        fields[custom[name].stored_name(name)].CopyFrom(fields[name])
        del fields[name]
    return attributes


async def index_old_rows(
    store: Store, leases: tuple[Lease, ...], custom_attributes: CustomAttributes
) -> None:
    """Index the visibility rows from before there were filters, or a second database. Raises `StoreError`.

    Only the rows of runs that `leases` cover: the owners of the others may change them meanwhile, and index them when
    they claim.
    """
    count, after = 0, ""
    while rows := await store.unindexed_visibility(_INDEXED_AT_ONCE, after):
        after = rows[-1].run_id
        written = [
            row._replace(
                attributes=indexed(
                    SearchAttributes.FromString(row.search_attributes),
                    {
                        attribute.stored_name(name): attribute
                        for name, attribute in custom_attributes(row.namespace_id).items()
                    },
                )
            )
            for row in rows
            if _is_covered(row, leases)
        ]
        if written:
            await store.commit(Batch(leases, visibility=written))
            count += len(written)
    if count:
        log.info("visibility rows indexed", rows=count)


def _is_covered(row: VisibilityRow, leases: tuple[Lease, ...]) -> bool:
    key = shard_key(row.namespace_id, row.workflow_id)
    return any(lease.lo <= key < lease.hi for lease in leases)
