"""How a call's bytes become a request, and a refusal becomes a gRPC status, without the gRPC library.

`grpc.py` answers with these over sockets, and the simulator without them.
"""

from collections.abc import Callable
from typing import NamedTuple

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from temporalio.api.common.v1 import GrpcStatus

from perdure.core.errors import Code, Rejected
from perdure.frontend.registry import Rpc

#: Temporal: a larger request is refused. SDKs know that by the words, and fail the workflow task with its own cause.
REQUEST_BYTES_MAX = 4 * 1024 * 1024
#: Temporal: so many bytes of a refusal's words are sent. They are headers, and clients take no long ones.
WORDS_BYTES_MAX = 4000
_TRUNCATED = "... <truncated>"


class Status(NamedTuple):
    code: Code
    words: str
    #: A serialized `google.rpc.Status`, which holds the detail of the refusal; empty if it has none.
    details: bytes


def decoder(rpc: Rpc) -> Callable[[bytes], Message]:
    """Return what makes a request of a call's bytes. It raises `Rejected` or `DecodeError`."""
    parse = rpc.request.FromString

    def decode(encoded: bytes) -> Message:
        if len(encoded) > REQUEST_BYTES_MAX:
            size = f"{len(encoded)} vs. {REQUEST_BYTES_MAX}"
            raise Rejected(
                Code.RESOURCE_EXHAUSTED, f"grpc: received message larger than max ({size})"
            )
        return parse(encoded)

    return decode


def status_of(refusal: Rejected) -> Status:
    words = _bounded(refusal.message)
    if refusal.detail is None:
        return Status(refusal.code, words, b"")
    detail = AnyMessage()
    detail.Pack(refusal.detail)
    status = GrpcStatus(code=refusal.code, message=words, details=[detail])
    return Status(refusal.code, words, status.SerializeToString())


def _bounded(words: str) -> str:
    encoded = words.encode()
    if len(encoded) <= WORDS_BYTES_MAX:
        return words
    return encoded[: WORDS_BYTES_MAX - len(_TRUNCATED)].decode(errors="ignore") + _TRUNCATED
