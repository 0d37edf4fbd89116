"""A stream, which carries one call, and what a connection tells of it."""

from typing import NamedTuple

from perdure.frontend.transport.http2.request_head import RequestHead


class Stream:
    """One call. The connection reports a unary call once its request is complete, a streaming one when it begins."""

    __slots__ = (
        "body",
        "body_bytes",
        "credit",
        "end",
        "has_begun",
        "head",
        "id",
        "is_call",
        "is_ended",
        "is_reported",
        "is_streaming",
        "message",
        "pending",
        "request_bytes",
        "timeout",
        "ungranted",
    )

    def __init__(self, id: int, head: RequestHead, timeout: str, *, is_streaming: bool) -> None:
        self.id, self.head, self.timeout, self.is_streaming = id, head, timeout, is_streaming
        #: The request of a unary call, decompressed; empty until it is complete.
        self.message = b""
        #: The beginning of a message that is not complete.
        self.body: bytes | bytearray = b""
        #: The bytes of its headers, and of its message once that is complete.
        self.request_bytes = head.bytes
        #: Bytes of the body so far, without padding.
        self.body_bytes = 0
        #: Bytes of DATA frames for which the client has no new window yet.
        self.ungranted = 0
        #: Whether it is a call of gRPC, and not another request of HTTP.
        self.is_call = head.is_grpc and head.method == "POST"
        self.is_ended = False
        self.is_reported = False
        #: The bytes that the client has granted beyond its first window, less those that were sent.
        self.credit = 0
        self.has_begun = False
        #: Parts of the answer that wait for the client's windows, and the block that ends it; None if more may come.
        self.pending: list[memoryview] = []
        self.end: bytes | None = None


class Received(NamedTuple):
    """A message of a streaming call."""

    stream: Stream
    message: bytes


class Ended(NamedTuple):
    """The client of a streaming call sends no more messages."""

    stream: Stream


class Cancelled(NamedTuple):
    """The client does not want the answer any more, or has broken a rule. Nothing can be sent on the stream."""

    stream: Stream


Event = Stream | Received | Ended | Cancelled
