"""What lists and descriptions show of a run besides plain fields: its memo and search attributes."""

import json

from temporalio.api.common.v1 import Memo, Payload, SearchAttributes

from perdure.core.workflow.state import RunState


def memo(state: RunState) -> Memo:
    return Memo(fields={key: Payload.FromString(value) for key, value in state.memo.items()})


def search_attributes(state: RunState) -> SearchAttributes:
    """The run's own, and what the server adds: the builds that worked on it."""
    fields = {key: Payload.FromString(value) for key, value in state.search_attributes.items()}
    if state.build_ids:
        tags = ["unversioned", *(f"unversioned:{build_id}" for build_id in state.build_ids)]
        fields["BuildIds"] = Payload(
            metadata={"encoding": b"json/plain", "type": b"KeywordList"},
            data=json.dumps(tags, separators=(",", ":")).encode(),
        )
    return SearchAttributes(indexed_fields=fields)
