"""The bytes of HTTP/2 frames (RFC 9113, sections 4, 6 and 7)."""

from enum import IntEnum
from struct import Struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_BYTES = 9
#: The frame size that every peer takes, and the largest one that a peer may ask for.
FRAME_BYTES_MIN, FRAME_BYTES_MAX = 1 << 14, (1 << 24) - 1
WINDOW_BYTES_FIRST, WINDOW_BYTES_MAX = (1 << 16) - 1, (1 << 31) - 1
#: The highest stream id. As the last one of a GOAWAY: streams that are on their way are still taken.
STREAM_MAX = (1 << 31) - 1

DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
ACK = END_STREAM = 0x1
END_HEADERS, PADDED, HAS_PRIORITY = 0x4, 0x8, 0x20
(
    SETTINGS_TABLE_BYTES,
    SETTINGS_PUSH,
    SETTINGS_STREAMS,
    SETTINGS_WINDOW,
    SETTINGS_FRAME_BYTES,
    SETTINGS_HEADER_BYTES,
) = range(1, 7)


class Fault(IntEnum):
    """Why a stream or a connection ends."""

    NO_ERROR = 0
    PROTOCOL = 1
    INTERNAL = 2
    FLOW_CONTROL = 3
    STREAM_CLOSED = 5
    FRAME_SIZE = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION = 9
    ENHANCE_YOUR_CALM = 11


class Breach(Exception):
    """The client breaks the rules of the connection, which ends with this fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.name)
        self.fault = fault


#: A frame's size in two parts, its type, flags and stream.
head = Struct(">BHBBI")
word = Struct(">I").pack
settings_of = Struct(">HI")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    size = len(payload)
    return head.pack(size >> 16, size & 0xFFFF, kind, flags, stream) + payload
