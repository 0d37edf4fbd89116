"""Header blocks that end a call of the API: a refusal with its detail, and the notes that a handler has left."""

from collections.abc import Mapping

from temporalio.api.common.v1 import Payload

from perdure.core.errors import Code, Rejected
from perdure.frontend.transport.http2.header_writer import status_block, trailer_block
from perdure.frontend.transport.status import status_of
from perdure.runtime.call_notes import TASK_QUEUE, WORKFLOW_TYPE

CANCELLED = status_block(Code.CANCELLED, "the call was cancelled")
LATE = status_block(Code.DEADLINE_EXCEEDED, "context deadline exceeded")


def refusal(rejected: Rejected, notes: Mapping[str, str] | None = None) -> bytes:
    code, words, details = status_of(rejected)
    trailers = _trailers(notes) if notes else []
    if details:
        trailers.append(("grpc-status-details-bin", details))
    return status_block(code, words, trailers)


def trailers_of(notes: Mapping[str, str]) -> bytes:
    return trailer_block(_trailers(notes))


def _trailers(notes: Mapping[str, str]) -> list[tuple[str, str | bytes]]:
    """Temporal: one binary header has all notes; a note that fits into a text header has one of its own, too."""
    # The metadata of a payload is a map of strings, too: it has the same bytes.
    encoded = Payload(metadata={key: value.encode() for key, value in notes.items()})
    trailers: list[tuple[str, str | bytes]] = [
        ("contextmetadata-bin", encoded.SerializeToString(deterministic=True))
    ]
    for key, value in notes.items():
        # Other servers also send tabs and letters beyond ASCII.
        if value.isascii() and value.isprintable():
            trailers.append((f"contextmetadata-{key}", value))
            if key in (WORKFLOW_TYPE, TASK_QUEUE):
                trailers.append((key, value))
    return trailers
