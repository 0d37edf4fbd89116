"""One HTTP/2 connection, from its client's first byte to the GOAWAY."""

from collections.abc import Container
from typing import NamedTuple, TypeVar

from perdure.frontend.transport.http2 import frames
from perdure.frontend.transport.http2.answers import Answers
from perdure.frontend.transport.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HAS_PRIORITY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PUSH,
    RESET,
    SETTINGS,
    WINDOW,
    Breach,
    Fault,
    frame,
    head,
    word,
)
from perdure.frontend.transport.http2.header_reader import Field, HeaderReader
from perdure.frontend.transport.http2.limits import LIMITS, ConnectionLimits
from perdure.frontend.transport.http2.patience import Patience
from perdure.frontend.transport.http2.request_head import (
    TIMEOUT,
    Malformed,
    RequestHead,
    check_trailers,
)
from perdure.frontend.transport.http2.requests import Requests
from perdure.frontend.transport.http2.streams import Event, Stream

#: Heads that are kept for the next call: how many, and how long each.
_KEPT_MAX, _KEPT_BYTES_MAX = 64, 1024

K = TypeVar("K")
V = TypeVar("V")


class _Block(NamedTuple):
    """A header block whose CONTINUATION is to come."""

    stream: int
    flags: int
    parts: list[bytes]


class Http2Connection:
    """The machine: `receive` what the client sends, answer by `answers`, send what `take` gives.

    Once `is_over`, send what `take` gives for the last time, and close.
    """

    def __init__(self, streaming: Container[str] = (), limits: ConnectionLimits = LIMITS) -> None:
        """`streaming`: the paths of calls with any number of messages; all others are unary."""
        self._limits = limits
        #: The open streams: a call is in it until it is answered or cancelled.
        self.streams: dict[int, Stream] = {}
        self.answers = Answers(self.streams, limits)
        self._patience = Patience(self.answers, limits)
        self._requests = Requests(self.streams, self.answers, self._patience, streaming, limits)
        self.is_over = False
        #: Whether the client has sent its preface.
        self.is_greeted = False
        #: Whether the next frame is the first.
        self._is_first = False
        #: The beginning of a frame, and how many bytes are needed before it can be read.
        self._unread: list[bytes] = []
        self._unread_bytes, self._needed_bytes = 0, len(frames.PREFACE)
        self._headers = HeaderReader(limits)
        #: Heads of before: by their blocks, as long as HPACK's table stays; and by their fields without the time-out.
        self._blocks: dict[bytes, tuple[RequestHead, str]] = {}
        self._heads: dict[tuple[Field, ...], RequestHead] = {}
        self._block: _Block | None = None
        self._ungranted = 0
        own = (
            (frames.SETTINGS_STREAMS, limits.streams),
            (frames.SETTINGS_WINDOW, limits.window_bytes),
            (frames.SETTINGS_FRAME_BYTES, limits.frame_bytes),
            (frames.SETTINGS_HEADER_BYTES, limits.header_bytes),
        )
        settings = b"".join(frames.settings_of.pack(key, value) for key, value in own)
        window = limits.window_bytes - frames.WINDOW_BYTES_FIRST
        self.answers.out += (frame(SETTINGS, 0, 0, settings), frame(WINDOW, 0, 0, word(window)))

    def take(self) -> bytes:
        """Return the bytes to send, and forget them."""
        out = self.answers.out
        if self._ungranted > self._limits.window_bytes // 2:
            self._grant()
        data = b"".join(out)
        out.clear()
        return data

    def receive(self, data: bytes) -> list[Event]:
        """Return what the bytes tell of calls, in order."""
        if self.is_over:
            return []
        if self._unread:
            self._unread.append(data)
            self._unread_bytes += len(data)
            if self._unread_bytes < self._needed_bytes:
                return []
            data = b"".join(self._unread)
            self._unread.clear()
        try:
            self._read(data)
        except Breach as breach:
            self.is_over = True
            self._say_goodbye(self._requests.last, breach.fault)
        self._grant()
        return self._requests.take_events()

    def _grant(self) -> None:
        """Give the client its window back, but not while its complete requests hold too much."""
        if (
            self._ungranted > self._limits.window_bytes // 2
            and self.answers.request_bytes <= self._limits.request_bytes_soft
        ):
            self.answers.out.append(frame(WINDOW, 0, 0, word(self._ungranted)))
            self._ungranted = 0

    def go_away(self, *, is_last_word: bool) -> None:
        """Tell the client to use another connection. Calls on their way are taken until the last word: none is lost."""
        requests = self._requests
        if requests.is_closed:
            return  # It was said: a later word must not name a higher stream.
        requests.is_closed = is_last_word
        self._say_goodbye(requests.last if is_last_word else frames.STREAM_MAX, Fault.NO_ERROR)

    def ping(self) -> None:
        """Ask the client for a sign of life."""
        self.answers.out.append(frame(PING, 0, 0, b"perdure?"))

    def forgive(self) -> None:
        """Count nuisances anew. To be called every so many seconds."""
        self._patience.forgive()

    # Frames

    def _read(self, data: bytes) -> None:
        at, end = 0, len(data)
        if not self.is_greeted:
            if not data.startswith(frames.PREFACE[:end]):
                raise Breach(Fault.PROTOCOL)
            if end < len(frames.PREFACE):
                self._keep(data, len(frames.PREFACE))
                return
            self.is_greeted, at = True, len(frames.PREFACE)
            self._is_first = True
        needed = frames.HEAD_BYTES
        while end - at >= frames.HEAD_BYTES:
            high, low, kind, flags, stream = head.unpack_from(data, at)
            size = high << 16 | low
            if size > self._limits.frame_bytes:
                raise Breach(Fault.FRAME_SIZE)
            begin = at + frames.HEAD_BYTES
            if end - begin < size:
                needed = frames.HEAD_BYTES + size
                break
            at = begin + size
            stream &= frames.STREAM_MAX
            if self._is_first:
                self._is_first = False
                if kind != SETTINGS or flags & ACK:
                    raise Breach(Fault.PROTOCOL)
            block = self._block
            if block is not None and (kind != CONTINUATION or stream != block.stream):
                raise Breach(Fault.PROTOCOL)
            if kind == DATA:
                self._receive_data(stream, flags, data[begin:at])
            elif kind == HEADERS:
                self._receive_headers(stream, flags, data[begin:at])
            else:
                self._receive_other(kind, flags, stream, data[begin:at])
        if at < end:
            self._keep(data[at:] if at else data, needed)

    def _keep(self, data: bytes, needed: int) -> None:
        self._unread.append(data)
        self._unread_bytes, self._needed_bytes = len(data), needed

    def _receive_other(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == WINDOW:
            self._receive_window(stream, payload)
        elif kind == RESET:
            self._receive_reset(stream, payload)
        elif kind == CONTINUATION:
            self._receive_continuation(flags, payload)
        elif kind == PRIORITY:
            self._patience.annoy()
            if not stream:
                raise Breach(Fault.PROTOCOL)
            if len(payload) != 5:
                self._requests.reset(stream, Fault.FRAME_SIZE)
            elif _depends_on(payload) == stream:
                self._requests.reset(stream, Fault.PROTOCOL)
        elif kind in (SETTINGS, PING, GOAWAY, PUSH):
            if stream or kind == PUSH:
                raise Breach(Fault.PROTOCOL)
            if kind == SETTINGS:
                self._receive_settings(flags, payload)
            elif kind == PING:
                if len(payload) != 8:
                    raise Breach(Fault.FRAME_SIZE)
                self._patience.annoy()
                if not flags & ACK:
                    self.answers.out.append(frame(PING, ACK, 0, payload))
            elif len(payload) < 8:
                raise Breach(Fault.FRAME_SIZE)
        else:
            self._patience.annoy()  # RFC 9113, 5.5: frames of types that we do not know are ignored.

    def _receive_headers(self, stream: int, flags: int, payload: bytes) -> None:
        if not stream:
            raise Breach(Fault.PROTOCOL)
        if flags & (PADDED | HAS_PRIORITY):
            payload = _without_padding(payload, flags)
            if flags & HAS_PRIORITY:
                if len(payload) < 5:
                    raise Breach(Fault.FRAME_SIZE)
                if _depends_on(payload) == stream:
                    raise Breach(Fault.PROTOCOL)
                payload = payload[5:]
        if flags & END_HEADERS:
            self._receive_block(stream, flags, payload)
        else:
            self._block = _Block(stream, flags, [payload])

    def _receive_continuation(self, flags: int, payload: bytes) -> None:
        block, limits = self._block, self._limits
        if block is None:
            raise Breach(Fault.PROTOCOL)
        block.parts.append(payload)
        if (
            len(block.parts) > limits.continuations
            or sum(map(len, block.parts)) > limits.header_bytes
        ):
            raise Breach(Fault.ENHANCE_YOUR_CALM)
        if flags & END_HEADERS:
            self._block = None
            self._receive_block(block.stream, block.flags, b"".join(block.parts))

    def _receive_block(self, id: int, flags: int, block: bytes) -> None:
        requests = self._requests
        if id > requests.last:
            self._receive_first_block(id, flags, block)
            return
        fields = self._fields(block)
        stream = requests.open_one(id)
        if stream is None:
            return
        try:
            if not flags & END_STREAM:
                raise Malformed("trailers that end nothing")
            check_trailers(fields)
        except Malformed:
            requests.reset(id, Fault.PROTOCOL)
        else:
            requests.finish(stream)

    def _receive_first_block(self, id: int, flags: int, block: bytes) -> None:
        self._requests.number(id)
        try:
            head, timeout = self._blocks.get(block) or self._head(block)
        except Malformed:
            self._requests.reset(id, Fault.PROTOCOL)
            return
        self._requests.begin(id, head, timeout, is_ended=bool(flags & END_STREAM))

    def _head(self, block: bytes) -> tuple[RequestHead, str]:
        """Return the meaning of a header block, and its time-out. Raises `Breach` and `Malformed`."""
        changes = self._headers.changes
        fields = self._fields(block)
        timeout = ""
        if fields and fields[-1][0] == TIMEOUT:
            timeout = fields.pop()[1]
        else:
            for index, (name, value) in enumerate(fields):
                if name == TIMEOUT:
                    timeout = value
                    del fields[index]
                    break
        key = tuple(fields)
        head = self._heads.get(key)
        if head is None:
            head = RequestHead(fields)
            if head.bytes <= _KEPT_BYTES_MAX:
                _keep(self._heads, key, head)
        if self._headers.changes == changes and len(block) <= _KEPT_BYTES_MAX:
            _keep(self._blocks, block, (head, timeout))
        return head, timeout

    def _fields(self, block: bytes) -> list[Field]:
        """Read a header block. When it changes the table, blocks of before have another meaning. Raises `Breach`."""
        changes = self._headers.changes
        fields = self._headers.read(block)
        if self._headers.changes != changes:
            self._blocks.clear()
        return fields

    # Other frames

    def _receive_data(self, id: int, flags: int, payload: bytes) -> None:
        size = len(payload)
        self._ungranted += size
        if self._ungranted > self._limits.window_bytes:
            raise Breach(Fault.FLOW_CONTROL)
        if flags & PADDED:
            payload = _without_padding(payload, flags)
        self._requests.data(id, payload, size, is_ended=bool(flags & END_STREAM))

    def _receive_window(self, id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Breach(Fault.FRAME_SIZE)
        by = int.from_bytes(payload, "big") & frames.WINDOW_BYTES_MAX
        if not self.answers.held_bytes:
            self._patience.annoy()
        if not id:
            if not by:
                raise Breach(Fault.PROTOCOL)
            self.answers.grow(by)
        elif id > self._requests.last:
            raise Breach(Fault.PROTOCOL)
        elif not by:
            self._requests.reset(id, Fault.PROTOCOL)
        elif not self.answers.grow_stream(id, by):
            self._requests.reset(id, Fault.FLOW_CONTROL)

    def _receive_reset(self, id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Breach(Fault.FRAME_SIZE)
        if not id or id > self._requests.last:
            raise Breach(Fault.PROTOCOL)
        self._patience.cancelled()
        self._requests.cancel(id)

    def _receive_settings(self, flags: int, payload: bytes) -> None:
        self._patience.annoy()
        size, size_max = len(payload), 0 if flags & ACK else self._limits.settings_bytes
        if size % 6 or size > size_max:
            raise Breach(Fault.FRAME_SIZE)
        if flags & ACK:
            return
        window: int | None = None
        for key, value in frames.settings_of.iter_unpack(payload):
            if key == frames.SETTINGS_PUSH and value > 1:
                raise Breach(Fault.PROTOCOL)
            if key == frames.SETTINGS_WINDOW:
                if value > frames.WINDOW_BYTES_MAX:
                    raise Breach(Fault.FLOW_CONTROL)
                window = value
            elif key == frames.SETTINGS_FRAME_BYTES:
                if not frames.FRAME_BYTES_MIN <= value <= frames.FRAME_BYTES_MAX:
                    raise Breach(Fault.PROTOCOL)
                self.answers.set_frame_bytes(value)
            elif key == frames.SETTINGS_TABLE_BYTES:
                self.answers.set_table_bytes(value)
        # At once: before the data for which a larger window makes room.
        self.answers.out.append(frame(SETTINGS, ACK, 0))
        # The last one of a frame counts: all open streams have to be looked at.
        if window is not None:
            self.answers.set_first_window(window)

    def _say_goodbye(self, last: int, fault: Fault) -> None:
        self.answers.out.append(frame(GOAWAY, 0, 0, word(last) + word(fault)))


def _keep(kept: dict[K, V], key: K, value: V) -> None:
    if len(kept) >= _KEPT_MAX:
        kept.clear()
    kept[key] = value


def _depends_on(payload: bytes) -> int:
    """Return the stream that a priority names."""
    return int.from_bytes(payload[:4], "big") & frames.STREAM_MAX


def _without_padding(payload: bytes, flags: int) -> bytes:
    """Return a payload without its padding, if it has any. Raises `Breach`."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise Breach(Fault.PROTOCOL if payload else Fault.FRAME_SIZE)
    return payload[1 : len(payload) - payload[0]]
