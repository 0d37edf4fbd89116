"""Answers: their frames, and how they wait for the client's windows."""

from collections import OrderedDict
from struct import Struct

from perdure.frontend.transport.http2.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_BYTES_MIN,
    HEADERS,
    RESET,
    WINDOW_BYTES_FIRST,
    WINDOW_BYTES_MAX,
    Breach,
    Fault,
    frame,
    word,
)
from perdure.frontend.transport.http2.header_writer import field, status_block
from perdure.frontend.transport.http2.limits import ConnectionLimits
from perdure.frontend.transport.http2.messages import RESOURCE_EXHAUSTED
from perdure.frontend.transport.http2.streams import Stream

#: Streams that we have reset, and remember: the oldest are forgotten.
_RESET_MAX = 256
#: Frames that a client takes in any case; a larger frame to send makes others wait for longer.
_FRAME_BYTES_SENT_MAX = 1 << 20


#: The table that a client has if it says nothing, and the beginning of a header block that makes it an empty one.
_TABLE_BYTES, _EMPTY_TABLE = 4096, b"\x20"
_BEGIN = b"\x88" + field("content-type", b"application/grpc")
OK = status_block(0)
_answer = Struct(f">BHBBI{len(_BEGIN)}sBHBBIBI").pack
_trailers = Struct(f">BHBBI{len(OK)}s").pack
_message_head = Struct(">BI").pack


class Answers:
    """The sending half of one connection. Frames wait in `out`; `held_bytes` wait for the client's windows.

    An answer to a stream that is gone is dropped: its client has cancelled it meanwhile.
    """

    def __init__(self, streams: dict[int, Stream], limits: ConnectionLimits) -> None:
        """`streams`: the open ones; an answered one is taken out."""
        self._streams, self._held_max = streams, limits.held_bytes
        #: Streams that we reset: what their clients have sent before they know of it is ignored.
        self._reset: dict[int, None] = {}
        self.out: list[bytes] = []
        self._window = self._first_window = WINDOW_BYTES_FIRST
        self._frame_bytes = FRAME_BYTES_MIN
        #: Streams with bytes that wait for the window of the connection, in order, and for their own.
        self._ready: OrderedDict[int, Stream] = OrderedDict()
        self._blocked: dict[int, Stream] = {}
        self.held_bytes = 0
        #: The bytes that requests of open calls hold.
        self.request_bytes = 0
        #: The beginning of the next header block.
        self._table_update = b""
        self._is_paused = False
        #: Calls so far that a handler has answered, and bytes of answers that have left: both grow.
        self.answered = self.sent_bytes = 0

    def answer(self, stream: Stream, message: bytes, trailers: bytes = b"") -> None:
        """Send the answer to a unary call. `trailers` is a header block that comes after the status."""
        id, size = stream.id, len(message) + 5
        if self._streams.get(id) is not stream:
            return
        if (
            size <= FRAME_BYTES_MIN
            and size <= self._window
            and size <= self._first_window + stream.credit
            and not self._ready
            and not self._is_paused
            and not self._table_update
            and not trailers
        ):
            self._window -= size
            del self._streams[id]
            self.request_bytes -= stream.request_bytes
            self.answered += 1
            self.sent_bytes += size
            self.out += (
                _answer(
                    0,
                    len(_BEGIN),
                    HEADERS,
                    END_HEADERS,
                    id,
                    _BEGIN,
                    0,
                    size,
                    DATA,
                    0,
                    id,
                    0,
                    size - 5,
                ),
                message,
                _trailers(0, len(OK), HEADERS, END_HEADERS | END_STREAM, id, OK),
            )
            return
        self.message(stream, message)
        self.end(stream, OK + trailers)

    def message(self, stream: Stream, message: bytes) -> None:
        """Send one message of an answer."""
        if self._streams.get(stream.id) is not stream or stream.end is not None:
            return
        if self.held_bytes + len(message) > self._held_max:
            words = "the client does not read its answers"
            self.refuse(stream, status_block(RESOURCE_EXHAUSTED, words))
            return
        if not stream.has_begun:
            self._begin(stream, _BEGIN)
        self._hold(stream, _message_head(0, len(message)) + message)

    def end(self, stream: Stream, block: bytes = OK) -> None:
        """End an answer, once its messages are sent, with this header block."""
        if self._streams.get(stream.id) is stream and stream.end is None:
            stream.end = block
            if not stream.pending:
                self._close(stream)

    def refuse(self, stream: Stream, block: bytes) -> None:
        """End the call with a status other than OK. Messages that wait are dropped."""
        if self._streams.get(stream.id) is not stream:
            return
        self._drop_pending(stream)
        stream.end = block if stream.has_begun else _BEGIN + block
        self._close(stream)

    def respond(self, stream: Stream, status: int, text: str) -> None:
        """Answer what is not a gRPC call, with a status of HTTP and a text."""
        body = b"" if stream.head.method == "HEAD" else text.encode()
        begin = field(":status", b"%d" % status)
        begin += field("content-type", b"text/plain; charset=utf-8")
        if body:
            self._begin(stream, begin + field("content-length", b"%d" % len(body)))
            stream.end = b""
            self._hold(stream, body)
        else:
            stream.end = begin
            self._close(stream)

    def reset(self, id: int, fault: Fault) -> None:
        self.out.append(frame(RESET, 0, id, word(fault)))
        self._reset[id] = None
        if len(self._reset) > _RESET_MAX:
            del self._reset[next(iter(self._reset))]

    def has_reset(self, id: int) -> bool:
        return id in self._reset

    # Windows

    def grow(self, by: int) -> None:
        """Add to the window of the connection. Raises `Breach`."""
        self._window += by
        if self._window > WINDOW_BYTES_MAX:
            raise Breach(Fault.FLOW_CONTROL)
        self._push_ready()

    def grow_stream(self, id: int, by: int) -> bool:
        """Add to the window of a stream, if it is open. Return False if the window is too large now."""
        stream = self._streams.get(id)
        if stream is None:
            return True
        stream.credit += by
        if self._first_window + stream.credit > WINDOW_BYTES_MAX:
            return False
        if self._blocked.pop(id, None) is not None:
            self._ready[id] = stream
            self._push_ready()
        return True

    def set_first_window(self, size: int) -> None:
        """Take over the first window of streams, also for those that are open. Raises `Breach`."""
        self._first_window = size
        if any(size + each.credit > WINDOW_BYTES_MAX for each in self._streams.values()):
            raise Breach(Fault.FLOW_CONTROL)
        self._ready.update(self._blocked)
        self._blocked.clear()
        self._push_ready()

    def set_table_bytes(self, size: int) -> None:
        """RFC 7541, 4.2: a client with a smaller table must hear its size. We use none, so that is 0, once."""
        if size < _TABLE_BYTES:
            self._table_update = _EMPTY_TABLE

    def set_frame_bytes(self, size: int) -> None:
        self._frame_bytes = min(size, _FRAME_BYTES_SENT_MAX)

    def pause(self) -> None:
        """Hold what is answered from now on: the client does not read what was sent."""
        self._is_paused = True

    def resume(self) -> None:
        self._is_paused = False
        self._push_ready()

    def drop(self, stream: Stream) -> None:
        """Forget a stream that was reset."""
        del self._streams[stream.id]
        self.request_bytes -= stream.request_bytes
        self._drop_pending(stream)

    def _begin(self, stream: Stream, block: bytes) -> None:
        stream.has_begun = True
        self._write_headers(stream, END_HEADERS, block)

    def _write_headers(self, stream: Stream, flags: int, block: bytes) -> None:
        if self._table_update:
            block, self._table_update = self._table_update + block, b""
        self.out.append(frame(HEADERS, flags, stream.id, block))

    def _hold(self, stream: Stream, data: bytes) -> None:
        """Send what the windows let; the rest waits for them."""
        is_waiting = bool(stream.pending)
        stream.pending.append(memoryview(data))
        self.held_bytes += len(data)
        if not is_waiting:
            self._ready[stream.id] = stream
            self._push_ready()

    def _push_ready(self) -> None:
        """Send what the window of the connection lets, in the order of the streams.

        Those that wait for their own windows are not looked at: with thousands of them, that was most of the CPU.
        """
        ready = self._ready
        while ready and not self._is_paused:
            id, stream = next(iter(ready.items()))
            own = self._first_window + stream.credit
            if own <= 0:
                del ready[id]
                self._blocked[id] = stream
            elif self._window <= 0:
                return
            else:
                self._push(stream, min(own, self._window))
                if not stream.pending:
                    del ready[id]
                    if stream.end is not None:
                        self._close(stream)

    def _push(self, stream: Stream, window: int) -> None:
        """Send DATA frames of a stream, of not more than `window` bytes in all."""
        sent = 0
        while stream.pending and sent < window:
            part = stream.pending[0]
            size = min(len(part), window - sent, self._frame_bytes)
            if size < len(part):
                stream.pending[0] = part[size:]
            else:
                del stream.pending[0]
            is_last = not stream.pending and stream.end == b""
            flags = END_STREAM if is_last else 0
            self.out.append(frame(DATA, flags, stream.id, bytes(part[:size])))
            sent += size
        stream.credit -= sent
        self._window -= sent
        self.held_bytes -= sent
        self.sent_bytes += sent

    def _close(self, stream: Stream) -> None:
        del self._streams[stream.id]
        self.request_bytes -= stream.request_bytes
        self.answered += stream.is_reported
        if stream.end:
            self._write_headers(stream, END_HEADERS | END_STREAM, stream.end)
        if not stream.is_ended:  # The rest of the request is not wanted.
            self.reset(stream.id, Fault.NO_ERROR)

    def _drop_pending(self, stream: Stream) -> None:
        self.held_bytes -= sum(map(len, stream.pending))
        stream.pending.clear()
        self._blocked.pop(stream.id, None)
        self._ready.pop(stream.id, None)
