"""Bytes of HTTP/2 for tests, independent of the code: frames that may be wrong in any way, and a reader of frames."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from hpack import Encoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
ACK = END_STREAM = 0x1
END_HEADERS, PADDED, HAS_PRIORITY = 0x4, 0x8, 0x20
(
    NO_ERROR,
    PROTOCOL,
    INTERNAL,
    FLOW_CONTROL,
    SETTINGS_TIMEOUT,
    STREAM_CLOSED,
    FRAME_SIZE,
    REFUSED_STREAM,
    CANCEL,
    COMPRESSION,
    CONNECT,
    ENHANCE_YOUR_CALM,
) = range(12)
TABLE_BYTES, ENABLE_PUSH, STREAMS, FIRST_WINDOW, FRAME_BYTES, HEADER_BYTES = range(1, 7)

Fields = Iterable[tuple[str, str]]

REQUEST = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/a.Service/Method"),
    (":authority", "here"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
)


class Frame(NamedTuple):
    """A frame as it was read."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def error(self) -> int:
        """The error code of a RST_STREAM or GOAWAY."""
        return int.from_bytes(self.payload[4:8] if self.kind == GOAWAY else self.payload, "big")


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return (
        len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload
    )


def settings(*pairs: tuple[int, int], flags: int = 0, stream: int = 0) -> bytes:
    payload = b"".join(key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in pairs)
    return frame(SETTINGS, flags, stream, payload)


def word(value: int) -> bytes:
    return value.to_bytes(4, "big")


def window(stream: int, by: int) -> bytes:
    return frame(WINDOW, 0, stream, word(by))


def reset(stream: int, code: int = CANCEL) -> bytes:
    return frame(RESET, 0, stream, word(code))


def ping(payload: bytes = b"12345678", flags: int = 0, stream: int = 0) -> bytes:
    return frame(PING, flags, stream, payload)


def message(content: bytes = b"", compressed: int = 0) -> bytes:
    """Return a message with gRPC's prefix."""
    return bytes((compressed,)) + len(content).to_bytes(4, "big") + content


def data(stream: int, content: bytes = message(), flags: int = END_STREAM) -> bytes:
    return frame(DATA, flags, stream, content)


def block(fields: Fields = REQUEST) -> bytes:
    """Return a header block that neither uses nor changes a table, but for the static one."""
    encoder = Encoder()
    encoder.header_table_size = 0
    # The encoder says so; our peer need not know.
    return bytes(encoder.encode([(n, v, True) for n, v in fields])).removeprefix(b"\x20")


def headers(stream: int, fields: Fields = REQUEST, flags: int = END_HEADERS) -> bytes:
    return frame(HEADERS, flags, stream, block(fields))


def call(stream: int, content: bytes = b"", fields: Fields = REQUEST) -> bytes:
    """Return the frames of a whole call."""
    return headers(stream, fields) + data(stream, message(content))


def with_(*more: tuple[str, str]) -> Fields:
    """Return the headers of a request, and more; those with the name of one of ours take its place."""
    names = {name for name, _ in more}
    ours = [field for field in REQUEST if field[0] not in names]
    return [
        *(f for f in [*ours, *more] if f[0][:1] == ":"),
        *(f for f in [*ours, *more] if f[0][:1] != ":"),
    ]


def without(name: str) -> Fields:
    return [field for field in REQUEST if field[0] != name]


def frames_of(output: bytes) -> Iterator[Frame]:
    """Read frames. There must be nothing after the last one."""
    at = 0
    while at < len(output):
        size = int.from_bytes(output[at : at + 3], "big")
        end = at + 9 + size
        assert end <= len(output), "a frame is cut off"
        yield Frame(
            output[at + 3],
            output[at + 4],
            int.from_bytes(output[at + 5 : at + 9], "big"),
            output[at + 9 : end],
        )
        at = end
