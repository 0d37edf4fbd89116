"""A client made of `h2`, which checks all that we send: windows, states of streams, header blocks, order.

Bytes lie between the two until they are moved, in parts of any size, so that each side acts on what is old news to the other.
"""

from collections import deque
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    ResponseReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import StreamClosedError
from h2.settings import SettingCodes

from perdure.frontend.transport.http2.limits import LIMITS, ConnectionLimits
from tests.frontend.transport.http2.machine import Machine
from tests.frontend.transport.http2.wire import (
    CONTINUATION,
    END_HEADERS,
    HEADERS,
    PADDED,
    PREFACE,
    REQUEST,
    Fields,
    frame,
    frames_of,
    message,
)


@dataclass(slots=True)
class Request:
    """A call as its client sees it."""

    content: bytes
    #: The part that is not sent yet.
    rest: bytes
    answer: bytes = b""
    status: str = ""
    #: "answered", "cancelled" by the client, "reset" by the server; empty while it is open.
    end: str = ""


@dataclass(slots=True)
class Rewriting:
    """How the client's HEADERS frames are cut into CONTINUATIONs, and padded."""

    part_bytes: int = 1 << 14
    padding: int = 0


@dataclass(slots=True)
class Peer:
    """The client, and the server's machine at the other end of the line."""

    server: Machine
    client: H2Connection
    to_server: bytearray = field(default_factory=bytearray)
    #: Frames, the first of them perhaps without its beginning.
    to_client: deque[bytes] = field(default_factory=deque)
    requests: dict[int, Request] = field(default_factory=dict)
    rewriting: Rewriting = field(default_factory=Rewriting)
    goodbyes: list[ErrorCodes] = field(default_factory=list)
    #: Whether settings of the client are on their way.
    awaits_settings: bool = True

    def begin(self, content: bytes, fields: Fields = REQUEST) -> int:
        id = self.client.get_next_available_stream_id()
        self.client.send_headers(id, list(fields))
        self.requests[id] = Request(content, message(content))
        return id

    def send(self, id: int, size: int, padding: int | None = None) -> None:
        """Send up to so many bytes of a request, as far as the windows let, and the end with the last of them."""
        request = self.requests[id]
        if request.end or not request.rest:
            return
        room = self.client.local_flow_control_window(id) - (0 if padding is None else padding + 1)
        size = min(size, room, self.client.max_outbound_frame_size - 256)
        if size < 0:
            return
        part, request.rest = request.rest[:size], request.rest[size:]
        self.client.send_data(id, part, end_stream=not request.rest, pad_length=padding)

    def cancel(self, id: int) -> None:
        if not self.requests[id].end:
            self.client.reset_stream(id, ErrorCodes.CANCEL)
            self.requests[id].end = "cancelled"

    def grow(self, id: int, by: int) -> None:
        """Give the server a larger window. A stream that has ended needs none."""
        try:
            self.client.increment_flow_control_window(by, id or None)
        except StreamClosedError:
            assert self.requests[id].end

    def set(self, code: SettingCodes, value: int) -> None:
        """Change a setting, if the last change is acknowledged: h2 takes an acknowledgement for one of all changes."""
        if not self.awaits_settings:
            self.client.update_settings({code: value})
            self.awaits_settings = True

    # The line

    def move_to_server(self, size: int | None = None) -> int:
        """Let so many bytes arrive; return how many there were."""
        self.to_server += self._rewritten(self.client.data_to_send())
        part = bytes(self.to_server[:size])
        del self.to_server[:size]
        if part:
            self.to_client += (frame(*each) for each in self.server.hear(part))
        return len(part)

    def move_to_client(self, size: int | None = None) -> int:
        """Let so many bytes arrive, each frame by itself: h2 looks at new settings between what it gets at once."""
        self.to_client += (frame(*each) for each in self.server.frames())
        moved, most = 0, 1 << 40 if size is None else size
        while self.to_client and moved < most:
            part = self.to_client.popleft()
            if len(part) > most - moved:
                self.to_client.appendleft(part[most - moved :])
                part = part[: most - moved]
            moved += len(part)
            for event in self.client.receive_data(part):
                self._note(event)
        return moved

    def settle(self) -> None:
        """Move bytes until there are none left."""
        while self.move_to_server() + self.move_to_client():
            pass

    def _rewritten(self, data: bytes) -> bytes:
        """Cut and pad HEADERS frames, which h2 does not do by itself."""
        begin = PREFACE if data.startswith(PREFACE) else b""
        out = bytearray(begin)
        for each in frames_of(data[len(begin) :]):
            if each.kind != HEADERS:
                out += frame(*each)
                continue
            size, padding = self.rewriting.part_bytes, self.rewriting.padding
            parts = [each.payload[at : at + size] for at in range(0, len(each.payload), size)]
            flags = each.flags & ~END_HEADERS | (PADDED if padding else 0)
            first = bytes((padding,)) + parts[0] + bytes(padding) if padding else parts[0]
            for place, part in enumerate([first, *parts[1:]]):
                kind = CONTINUATION if place else HEADERS
                last = END_HEADERS if place == len(parts) - 1 else 0
                out += frame(kind, (0 if place else flags) | last, each.stream, part)
        return bytes(out)

    def _note(self, event: object) -> None:
        match event:
            case ConnectionTerminated():
                self.goodbyes.append(event.error_code)
            case SettingsAcknowledged():
                self.awaits_settings = False
            case ResponseReceived():
                status = dict(event.headers)
                self.requests[event.stream_id].status = status.get("grpc-status", "")
            case DataReceived():
                self.requests[event.stream_id].answer += event.data
            case TrailersReceived():
                self.requests[event.stream_id].status = dict(event.headers)["grpc-status"]
            case StreamEnded():
                self._end(event.stream_id, "answered")
            case StreamReset() if event.error_code != ErrorCodes.NO_ERROR:
                self._end(event.stream_id, f"reset with {event.error_code!r}")

    def _end(self, id: int, how: str) -> None:
        request = self.requests[id]
        assert not request.end, f"call {id} is {how} after it was {request.end}"
        request.end = how
        request.rest = b""


def connected(limits: ConnectionLimits = LIMITS) -> Peer:
    """Return a client whose preface is on its way."""
    config = H2Configuration(client_side=True, header_encoding="utf-8")
    client = H2Connection(config)
    client.initiate_connection()
    return Peer(Machine(limits, is_greeted=False), client)
