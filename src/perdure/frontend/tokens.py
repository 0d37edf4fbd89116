"""Tokens, which a worker or client sends back to continue where it was. Only the server reads what is in them."""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from perdure.core.errors import invalid_argument


class WorkflowTaskToken(msgspec.Struct, frozen=True, array_like=True, tag="w"):
    namespace_id: str
    workflow_id: str
    run_id: str
    scheduled_event_id: int
    attempt: int
    nonce: int


class ActivityToken(msgspec.Struct, frozen=True, array_like=True, tag="a"):
    namespace_id: str
    workflow_id: str
    run_id: str
    scheduled_event_id: int
    attempt: int


class QueryToken(msgspec.Struct, frozen=True, array_like=True, tag="q"):
    namespace_id: str
    query_id: str


#: Every store takes numbers of this size.
Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Id = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[\x20-\x7e]+$")]


class HistoryToken(msgspec.Struct, frozen=True, array_like=True, tag="h"):
    """Where the next page of a history begins."""

    run_id: Id
    next_event_id: Number
    after_seq: Number = 0
    #: The caller follows an open run: an empty page is no end.
    follows: bool = False


class ReverseHistoryToken(msgspec.Struct, frozen=True, array_like=True, tag="r"):
    """Where the next page begins of a history that is read from its end."""

    run_id: Id
    next_event_id: Number
    before_seq: Number = 0


class ListToken(msgspec.Struct, frozen=True, array_like=True, tag="l"):
    """The last row of the page before."""

    close_time_ns: Number
    start_time_ns: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    run_id: Id


class NamespacesToken(msgspec.Struct, frozen=True, array_like=True, tag="n"):
    """The last namespace of the page before."""

    namespace_id: Id


PageToken = TypeVar("PageToken", HistoryToken, ReverseHistoryToken, ListToken, NamespacesToken)
TaskToken = WorkflowTaskToken | ActivityToken | QueryToken
_encoder = msgspec.msgpack.Encoder()
_task_decoder = msgspec.msgpack.Decoder(TaskToken)


def encode(
    token: TaskToken | HistoryToken | ReverseHistoryToken | ListToken | NamespacesToken,
) -> bytes:
    return _encoder.encode(token)


def task_token(encoded: bytes) -> TaskToken:
    if not encoded:
        raise invalid_argument("Task token not set on request.")
    try:
        token: TaskToken = _task_decoder.decode(encoded)
    except msgspec.MsgspecError as error:
        raise invalid_argument("Error deserializing task token.") from error
    return token


def page_token(encoded: bytes, kind: type[PageToken]) -> PageToken:
    """Decode the token of a page. Raises `Rejected`, also for a token that another RPC has given."""
    try:
        return msgspec.msgpack.decode(encoded, type=kind)
    except msgspec.MsgspecError as error:
        raise invalid_argument("Invalid NextPageToken.") from error
