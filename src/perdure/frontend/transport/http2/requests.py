"""The requests of one connection: streams from their first header to the end of their body."""

from collections.abc import Container

from perdure.frontend.transport.http2.answers import Answers
from perdure.frontend.transport.http2.frames import WINDOW, Breach, Fault, frame, word
from perdure.frontend.transport.http2.header_writer import status_block
from perdure.frontend.transport.http2.limits import ConnectionLimits
from perdure.frontend.transport.http2.messages import (
    INTERNAL,
    PREFIX_BYTES,
    RESOURCE_EXHAUSTED,
    CallRefused,
    check_size,
    message_of,
)
from perdure.frontend.transport.http2.patience import Patience
from perdure.frontend.transport.http2.request_head import RequestHead
from perdure.frontend.transport.http2.streams import Cancelled, Ended, Event, Received, Stream

#: Ranges of stream ids that a client has left out. More are not kept: only the kind of an error depends on them.
_SKIPPED_MAX = 16


class Requests:
    def __init__(
        self,
        streams: dict[int, Stream],
        answers: Answers,
        patience: Patience,
        streaming: Container[str],
        limits: ConnectionLimits,
    ) -> None:
        """`streaming`: the paths of calls with any number of messages; all others are unary."""
        self._streams, self._answers, self._patience = streams, answers, patience
        self._streaming, self._limits = streaming, limits
        self._skipped: list[range] = []
        #: The bytes of bodies that are not complete.
        self._unfinished_bytes = 0
        self._events: list[Event] = []
        #: The highest stream id so far.
        self.last = 0
        #: Whether new streams are refused.
        self.is_closed = False

    def take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def number(self, id: int) -> None:
        """Take the id of a new stream. Raises `Breach`."""
        if not id & 1:
            raise Breach(Fault.PROTOCOL)
        if id > self.last + 2 and len(self._skipped) < _SKIPPED_MAX:
            self._skipped.append(range(self.last + 1, id))
        self.last = id

    def begin(self, id: int, head: RequestHead, timeout: str, *, is_ended: bool) -> None:
        """Open a stream. `timeout`: the header `grpc-timeout`, empty if there is none."""
        if self.is_closed or len(self._streams) >= self._limits.streams:
            self.reset(id, Fault.REFUSED_STREAM)
            return
        self._patience.begun()
        stream = Stream(id, head, timeout, is_streaming=head.path in self._streaming)
        self._streams[id] = stream
        self._answers.request_bytes += stream.request_bytes
        if stream.is_streaming and stream.is_call:
            stream.is_reported = True
            self._events.append(stream)
        if is_ended:
            self.finish(stream)

    def _refuse_protocol(self, stream: Stream) -> None:
        """Answer a request of HTTP that is not a call of gRPC."""
        self._patience.annoy()
        if stream.head.method != "POST":
            self._answers.respond(stream, 405, "This is a gRPC port: use POST.\n")
        else:
            self._answers.respond(stream, 415, "This is a gRPC port: use application/grpc.\n")

    def open_one(self, id: int) -> Stream | None:
        """Return the stream that a block of trailers ends; None if it is to be ignored. Raises `Breach`."""
        stream = self._streams.get(id)
        if stream is None and not self._answers.has_reset(id):
            is_new = not id & 1 or any(id in each for each in self._skipped)
            raise Breach(Fault.PROTOCOL if is_new else Fault.STREAM_CLOSED)
        if stream is not None and stream.is_ended:
            self.reset(id, Fault.STREAM_CLOSED)
            return None
        return stream

    def data(self, id: int, payload: bytes, size: int, *, is_ended: bool) -> None:
        """Take a part of a body, whose frame has `size` bytes with its padding. Raises `Breach`."""
        stream = self._streams.get(id)
        if stream is None or stream.is_ended:
            self._receive_late_data(id, size)
            return
        if not payload and not is_ended:
            self._patience.annoy()
        stream.ungranted += size
        stream.body_bytes += len(payload)
        if stream.ungranted > self._limits.window_bytes:
            self.reset(id, Fault.FLOW_CONTROL)
            return
        if payload and stream.end is None and stream.is_call:
            self._unfinished_bytes += len(payload)
            if not stream.body:
                stream.body = payload
            elif type(stream.body) is bytearray:
                stream.body += payload
            else:
                stream.body = bytearray(stream.body + payload)
            if not is_ended or stream.is_streaming:
                self._look(stream)
        if id not in self._streams:
            return  # It was refused.
        if is_ended:
            self.finish(stream)
        elif stream.ungranted > self._limits.window_bytes // 2:
            self._answers.out.append(frame(WINDOW, 0, id, word(stream.ungranted)))
            stream.ungranted = 0

    def _receive_late_data(self, id: int, size: int) -> None:
        """Look at data for a stream that takes none."""
        if not id or id > self.last:
            raise Breach(Fault.PROTOCOL)
        if not size:
            self._patience.annoy()
        # A client may have sent it before it knew of the reset.
        if not self._answers.has_reset(id):
            self.reset(id, Fault.STREAM_CLOSED)

    def _look(self, stream: Stream) -> None:
        """Look at a message that is not complete, and pass on the complete ones of a streaming call."""
        try:
            if len(stream.body) < PREFIX_BYTES:
                return
            if stream.is_streaming:
                self._pass_on(stream)
            elif len(stream.body) > PREFIX_BYTES + check_size(
                stream.body, self._limits.message_bytes
            ):
                raise CallRefused(INTERNAL, "the request has not exactly one message")
            self._check_room()
        except CallRefused as fault:
            self._refuse(stream, fault)

    def _pass_on(self, stream: Stream) -> None:
        """Raises `CallRefused`."""
        size_max = self._limits.message_bytes
        if len(stream.body) < PREFIX_BYTES + check_size(stream.body, size_max):
            return
        body = bytes(stream.body)
        at = count = 0
        while len(body) - at >= PREFIX_BYTES:
            end = at + PREFIX_BYTES + check_size(body[at : at + PREFIX_BYTES], size_max)
            if end > len(body):
                break
            count += 1
            if count > self._limits.messages_a_frame:
                raise CallRefused(RESOURCE_EXHAUSTED, "too many messages at once")
            message = message_of(body[at:end], stream.head.encoding, size_max)
            self._events.append(Received(stream, message))
            at = end
        if at:
            self._drop_body(stream)
            stream.body = body[at:]
            self._unfinished_bytes += len(stream.body)

    def _check_room(self) -> None:
        """Raises `CallRefused` if the open requests of the connection hold too much."""
        if self._unfinished_bytes + self._answers.request_bytes > self._limits.request_bytes:
            raise CallRefused(RESOURCE_EXHAUSTED, "the requests of this connection are too large")

    def finish(self, stream: Stream) -> None:
        """Go on once the client has ended its request."""
        stream.is_ended = True
        length = stream.head.content_length
        if length is not None and length != stream.body_bytes:
            self.reset(stream.id, Fault.PROTOCOL)
            return
        if stream.end is not None:
            return  # It has its answer.
        if not stream.is_call:
            self._refuse_protocol(stream)
            return
        try:
            if stream.is_streaming:
                if stream.body:
                    raise CallRefused(INTERNAL, "a message is not complete")
                self._events.append(Ended(stream))
                return
            body, encoding = bytes(stream.body), stream.head.encoding
            self._drop_body(stream)
            stream.message = message_of(body, encoding, self._limits.message_bytes)
            stream.request_bytes += len(stream.message)
            self._answers.request_bytes += len(stream.message)
            self._check_room()
            stream.is_reported = True
            self._events.append(stream)
        except CallRefused as fault:
            self._refuse(stream, fault)

    def _drop_body(self, stream: Stream) -> None:
        self._unfinished_bytes -= len(stream.body)
        stream.body = b""

    def cancel(self, id: int) -> None:
        """Drop a stream that its client has reset."""
        if (stream := self._streams.get(id)) is not None:
            self._drop(stream)

    def reset(self, id: int, fault: Fault) -> None:
        """End one stream because of a fault in it. Raises `Breach` if there are too many."""
        self._patience.annoy()
        self._answers.reset(id, fault)
        if (stream := self._streams.get(id)) is not None:
            self._drop(stream)

    def _drop(self, stream: Stream) -> None:
        self._drop_body(stream)
        self._answers.drop(stream)
        if stream.is_reported:
            self._events.append(Cancelled(stream))

    def _refuse(self, stream: Stream, fault: CallRefused) -> None:
        """Answer a call that no handler gets, or gets no further."""
        self._patience.annoy()
        self._drop_body(stream)
        self._answers.refuse(stream, status_block(fault.code, fault.words, fault.trailers))
        if stream.is_reported:
            self._events.append(Cancelled(stream))
