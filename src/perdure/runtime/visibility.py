"""Makes the visibility row of a run from its state, and indexes rows that an older version wrote."""

from collections.abc import Callable, Mapping

import structlog
from temporalio.api.common.v1 import SearchAttributes

from perdure.core.search_attributes import PREDEFINED
from perdure.core.visibility.attributes import CustomAttribute
from perdure.core.visibility.indexing import indexed
from perdure.core.workflow.state import RunState
from perdure.core.workflow.visibility_fields import external_attributes, memo, search_attributes
from perdure.store.port import Batch, Lease, Store, VisibilityRow

log = structlog.get_logger(__name__)

#: Namespace id → its custom search attributes by their names.
CustomAttributes = Callable[[str], Mapping[str, CustomAttribute]]
_INDEXED_AT_ONCE = 500


def visibility_row(
    state: RunState, custom_attributes: CustomAttributes, *, shows_external: bool = True
) -> VisibilityRow:
    custom = custom_attributes(state.namespace_id)
    attributes = search_attributes(
        state, lambda _, name, set_at_ns: is_current(custom, name, set_at_ns)
    )
    if shows_external:
        for name, payload in external_attributes(state).items():
            attributes.indexed_fields[name].CopyFrom(payload)
    compared = indexed(attributes, custom)
    return VisibilityRow(
        namespace_id=state.namespace_id,
        run_id=state.run_id,
        workflow_id=state.workflow_id,
        workflow_type=state.workflow_type,
        task_queue=state.task_queue,
        status=state.status,
        start_time_ns=state.start_time_ns,
        execution_time_ns=state.execution_time_ns,
        close_time_ns=state.close_time_ns,
        history_length=state.next_event_id - 1 if state.close_time_ns else 0,
        history_size_bytes=state.history_size_bytes if state.close_time_ns else 0,
        state_transition_count=state.transition_count if state.close_time_ns else 0,
        memo=memo(state).SerializeToString(),
        search_attributes=_stored(attributes, custom).SerializeToString(),
        parent_workflow_id=state.parent.workflow_id if state.parent else "",
        parent_run_id=state.parent.run_id if state.parent else "",
        root_workflow_id=state.root_workflow_id,
        root_run_id=state.root_run_id,
        attributes=compared,
    )


def is_current(custom: Mapping[str, CustomAttribute], name: str, set_at_ns: int) -> bool:
    """Return whether a value was given to the attribute that has this name now."""
    attribute = custom.get(name)
    return name in PREDEFINED or (attribute is not None and set_at_ns >= attribute.since_ns)


def _stored(
    attributes: SearchAttributes, custom: Mapping[str, CustomAttribute]
) -> SearchAttributes:
    """Return the attributes as a row calls them."""
    fields = attributes.indexed_fields
    for name in [name for name in fields if name in custom and custom[name].since_ns]:
        fields[custom[name].stored_name(name)].CopyFrom(fields[name])
        del fields[name]
    return attributes


async def index_old_rows(
    store: Store, leases: tuple[Lease, ...], custom_attributes: CustomAttributes
) -> None:
    """Write again what lists have from before there were filters, or a second database. Raises `StoreError`."""
    count = 0
    while rows := await store.unindexed_visibility(_INDEXED_AT_ONCE):
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
        ]
        await store.commit(Batch(leases, visibility=written))
        count += len(rows)
    if count:
        log.info("visibility rows indexed", rows=count)
