"""What lists and descriptions show of a run besides plain fields: its memo and search attributes."""

import json

from temporalio.api.common.v1 import Memo, Payload, SearchAttributes

from perdure.core.workflow.state import RunState


def memo(state: RunState) -> Memo:
    return Memo(fields={key: Payload.FromString(value) for key, value in state.memo.items()})


def search_attributes(state: RunState) -> SearchAttributes:
    """The run's own, and what the server adds: who worked on it."""
    fields = {key: Payload.FromString(value) for key, value in state.search_attributes.items()}
    if state.previous_started_event_id:
        fields["BuildIds"] = _keywords(
            ["unversioned", *(f"unversioned:{build_id}" for build_id in state.build_ids)]
        )
    if state.binary_checksums:
        fields["BinaryChecksums"] = _keywords(state.binary_checksums)
    return SearchAttributes(indexed_fields=fields)


def _keywords(values: list[str]) -> Payload:
    return Payload(
        metadata={"encoding": b"json/plain", "type": b"KeywordList"},
        data=json.dumps(values, separators=(",", ":")).encode(),
    )
