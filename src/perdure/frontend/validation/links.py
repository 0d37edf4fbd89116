"""Checks of the links of a request: their count, their size, and their targets."""

from collections.abc import Sequence
from typing import Any

from temporalio.api.common.v1 import Callback, Link
from temporalio.api.enums.v1 import EventType

from perdure.core.errors import invalid_argument
from perdure.core.limits import Limits

#: Variant of a link → its required fields, each with its name in error texts.
_REQUIRED = {
    "workflow_event": {"namespace": "namespace", "workflow_id": "workflow ID", "run_id": "run ID"},
    "nexus_operation": {
        "namespace": "namespace",
        "operation_id": "operation ID",
        "run_id": "run ID",
    },
    "activity": {"namespace": "namespace", "activity_id": "activity ID", "run_id": "run ID"},
}


def check_links(links: Sequence[Link], limits: Limits) -> None:
    if len(links) > limits.max_links:
        raise invalid_argument(
            f"cannot attach more than {limits.max_links} links per request, got {len(links)}"
        )
    for link in links:
        if link.ByteSize() > limits.max_link_size:
            raise invalid_argument(
                f"link exceeds allowed size of {limits.max_link_size}, got {link.ByteSize()}"
            )
        _check_variant(link)


def _check_variant(link: Link) -> None:
    kind = link.WhichOneof("variant")
    if kind == "batch_job":
        if not link.batch_job.job_id:
            raise invalid_argument("batch job link must not have an empty job ID")
        return
    if kind is None or kind not in _REQUIRED:
        raise invalid_argument("unsupported link variant")
    variant = getattr(link, kind)
    for field, name in _REQUIRED[kind].items():
        if not getattr(variant, field):
            what = kind.replace("_", " ")
            raise invalid_argument(f"{what} link must not have an empty {name} field")
    event = link.workflow_event.event_ref
    if event.event_id and event.event_type == EventType.EVENT_TYPE_UNSPECIFIED:
        raise invalid_argument(
            "workflow event link ref cannot have an unspecified event type and a non-zero event ID"
        )


def check_links_beside(links: Any, callbacks: Sequence[Callback], limits: Limits) -> None:
    """Check the links of a request and of its callbacks together. Take a link that both have out of the request."""
    theirs = [link for callback in callbacks for link in callback.links]
    if theirs and links:
        own = [link for link in links if link not in theirs]
        del links[:]
        links.extend(own)
    check_links([*links, *theirs] if theirs else links, limits)
