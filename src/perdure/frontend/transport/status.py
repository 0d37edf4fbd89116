"""A refusal as a gRPC status."""

from typing import NamedTuple

from google.protobuf.any_pb2 import Any as AnyMessage
from temporalio.api.common.v1 import GrpcStatus

from perdure.core.errors import Code, Rejected

#: Temporal: a longer text of a refusal is cut. It is sent as a header, and clients take no long headers.
WORDS_BYTES_MAX = 4000
_TRUNCATED = "... <truncated>"


class Status(NamedTuple):
    code: Code
    words: str
    #: A serialized `google.rpc.Status`, which holds the detail of the refusal; empty if it has none.
    details: bytes


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
