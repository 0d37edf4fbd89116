"""Tokens: what a worker or client hands back to continue where it was. Opaque to them, MessagePack to us."""

import msgspec

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


class HistoryToken(msgspec.Struct, frozen=True, array_like=True, tag="h"):
    """Where the next page of a history begins."""

    run_id: str
    next_event_id: int
    after_seq: int = 0
    #: The caller follows an open run: an empty page is no end.
    follows: bool = False


class ListToken(msgspec.Struct, frozen=True, array_like=True, tag="l"):
    """The last row of the page before."""

    close_time_ns: int
    start_time_ns: int
    run_id: str


TaskToken = WorkflowTaskToken | ActivityToken | QueryToken
_encoder = msgspec.msgpack.Encoder()
_task_decoder = msgspec.msgpack.Decoder(TaskToken)
_history_decoder = msgspec.msgpack.Decoder(HistoryToken)
_list_decoder = msgspec.msgpack.Decoder(ListToken)


def encode(token: TaskToken | HistoryToken | ListToken) -> bytes:
    return _encoder.encode(token)


def task_token(encoded: bytes) -> TaskToken:
    if not encoded:
        raise invalid_argument("Task token not set on request.")
    try:
        token: TaskToken = _task_decoder.decode(encoded)
    except msgspec.MsgspecError as error:
        raise invalid_argument("Error deserializing task token.") from error
    return token


def history_token(encoded: bytes) -> HistoryToken:
    try:
        return _history_decoder.decode(encoded)
    except msgspec.MsgspecError as error:
        raise invalid_argument("Invalid NextPageToken.") from error


def list_token(encoded: bytes) -> ListToken:
    try:
        return _list_decoder.decode(encoded)
    except msgspec.MsgspecError as error:
        raise invalid_argument("Invalid NextPageToken.") from error
