"""The part of a run that lists and descriptions show: its memo, search attributes and plain fields."""

import json
from collections.abc import Callable, Hashable
from functools import lru_cache

from temporalio.api.common.v1 import Memo, Payload, SearchAttributes

from perdure.core.execution.archetype import VisibilityFields
from perdure.core.execution.environment import Environment
from perdure.core.search_attributes import decoded, unwrapped
from perdure.core.workflow.state import RunState

#: As in `Environment.is_current_attribute`.
IsCurrent = Callable[[str, str, int], bool]


def visibility(state: RunState, environment: Environment) -> VisibilityFields:
    """Return what lists show of the run. How long its history is they show only of a closed one."""
    attributes = search_attributes(state, environment.is_current_attribute)
    if environment.limits.external_payloads_enabled:
        for name, payload in external_attributes(state).items():
            attributes.indexed_fields[name].CopyFrom(payload)
    return VisibilityFields(
        namespace_id=state.namespace_id,
        business_id=state.workflow_id,
        run_id=state.run_id,
        type_name=state.workflow_type,
        task_queue=state.task_queue,
        status=state.status,
        start_time_ns=state.start_time_ns,
        execution_time_ns=state.execution_time_ns,
        close_time_ns=state.close_time_ns,
        history_length=state.next_event_id - 1 if state.close_time_ns else 0,
        history_size_bytes=state.history_size_bytes if state.close_time_ns else 0,
        state_transition_count=state.transition_count if state.close_time_ns else 0,
        memo=memo(state),
        search_attributes=attributes,
        parent_business_id=state.parent.workflow_id if state.parent else "",
        parent_run_id=state.parent.run_id if state.parent else "",
        root_business_id=state.root_workflow_id,
        root_run_id=state.root_run_id,
    )


def memo(state: RunState) -> Memo:
    return Memo(fields={key: Payload.FromString(value) for key, value in state.memo.items()})


def search_attributes(state: RunState, is_current: IsCurrent) -> SearchAttributes:
    """The run's own that are not removed, and what the server adds: who worked on it."""
    set_at_ns = state.search_attributes_set_at_ns
    fields = {
        key: Payload.FromString(value)
        for key, value in state.search_attributes.items()
        if is_current(state.namespace_id, key, set_at_ns.get(key, 0))
    }
    if state.versioning_override:
        # Temporal: then the row does not say which builds have worked on it.
        fields["TemporalWorkflowVersioningBehavior"] = _typed("Keyword", "AutoUpgrade")
    elif state.previous_started_event_id or state.versioning_override is not None:
        own = [
            "unversioned",
            *(f"unversioned:{each}" if each else "unversioned" for each in state.build_ids),
        ]
        fields["BuildIds"] = _keywords([*own, *_added(fields.get("BuildIds"), own)])
    if state.worker_deployment_name:
        fields["TemporalWorkerDeployment"] = _typed("Keyword", state.worker_deployment_name)
    if state.binary_checksums:
        fields["BinaryChecksums"] = _keywords(state.binary_checksums)
    return SearchAttributes(indexed_fields=fields)


def external_attributes(state: RunState) -> dict[str, Payload]:
    """Return what lists alone show, of closed runs that have payloads elsewhere."""
    if state.is_open or not state.external_payload_count:
        return {}
    return {
        "TemporalExternalPayloadCount": _typed("Int", state.external_payload_count),
        "TemporalExternalPayloadSizeBytes": _typed("Int", state.external_payload_size_bytes),
    }


def _added(payload: Payload | None, own: list[str]) -> list[str]:
    """Temporal: callers may name builds, too, which come after those that the server knows of."""
    if payload is None:
        return []
    try:
        values = unwrapped(decoded(payload))
    except (ValueError, RecursionError):
        return []
    return [each for each in values or () if isinstance(each, str) and each not in own]


def _keywords(values: list[str]) -> Payload:
    return _typed("KeywordList", tuple(values))


@lru_cache(maxsize=256)
def _typed(kind: str, value: Hashable) -> Payload:
    """Return a value as a payload. Many runs share it, so nobody may change it: a map of protobuf keeps a copy."""
    return Payload(
        metadata={"encoding": b"json/plain", "type": kind.encode()},
        data=json.dumps(value, separators=(",", ":")).encode(),
    )
