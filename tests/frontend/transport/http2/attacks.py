"""The bytes of hostile clients: each attack is a stream of bytes, after the preface, for as long as the server listens."""

import gzip
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import NamedTuple

from tests.frontend.transport.http2.wire import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    ENHANCE_YOUR_CALM,
    FIRST_WINDOW,
    FRAME_SIZE,
    GOAWAY,
    HEADERS,
    PRIORITY,
    block,
    call,
    data,
    frame,
    headers,
    message,
    ping,
    reset,
    settings,
    window,
    with_,
    word,
)


class Attack(NamedTuple):
    """The bytes in pieces; how many pieces are sent at most; and the code of the GOAWAY that must come, if one must.

    `held_bytes_max`: how much the machine may hold, where that is less than its limits let.
    """

    pieces: Callable[[], Iterator[bytes]]
    count: int
    code: int | None
    held_bytes_max: int | None = None


def _each(piece: Callable[[int], bytes]) -> Callable[[], Iterator[bytes]]:
    """Give a piece for each odd stream id."""
    return lambda: map(piece, count(1, 2))


def _always(piece: bytes) -> Callable[[], Iterator[bytes]]:
    return _each(lambda _: piece)


def _after(begin: bytes, piece: bytes) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        yield begin
        while True:
            yield piece

    return pieces


#: A field of 4 KB that is kept in the table under the name "a"; its index is 62.
_LONG_FIELD = b"\x40\x01a\x7f\xf9\x1d" + b"x" * 3960
_BOMB = block() + b"\xbe" * 248


def _bombs() -> Iterator[bytes]:
    yield frame(HEADERS, END_HEADERS, 1, block() + _LONG_FIELD)
    for id in count(3, 2):
        yield frame(HEADERS, END_HEADERS, id, _BOMB)


def _too_many_settings() -> bytes:
    return settings(*[(FIRST_WINDOW, each) for each in range(40_000)])


_ZIPPED = with_(("grpc-encoding", "gzip"))
_GZIP_BOMB = message(gzip.compress(bytes(4 << 20)), compressed=1)
_UPLOAD = headers(1) + data(1, message(bytes(1 << 20))[:6], flags=0)
_FOREIGN = with_(("content-type", "text/plain"))

ATTACKS: Mapping[str, Attack] = {
    "rapid reset": Attack(_each(lambda id: call(id) + reset(id)), 20_000, ENHANCE_YOUR_CALM),
    "rapid reset before the request's end": Attack(
        _each(lambda id: headers(id) + reset(id)), 20_000, ENHANCE_YOUR_CALM
    ),
    "streams that we must reset": Attack(
        _each(lambda id: call(id, fields=with_(("te", "gzip")))), 20_000, ENHANCE_YOUR_CALM
    ),
    "pings": Attack(_always(ping()), 5_000, ENHANCE_YOUR_CALM),
    "settings": Attack(_always(settings()), 5_000, ENHANCE_YOUR_CALM),
    "settings of many values": Attack(_always(_too_many_settings()), 1, FRAME_SIZE),
    "CONTINUATIONs": Attack(
        _after(frame(HEADERS, 0, 1, b"\0"), frame(CONTINUATION, 0, 1, bytes(1000))),
        5_000,
        ENHANCE_YOUR_CALM,
    ),
    "empty CONTINUATIONs": Attack(
        _after(frame(HEADERS, 0, 1), frame(CONTINUATION, 0, 1)), 5_000, ENHANCE_YOUR_CALM
    ),
    "empty DATA": Attack(_after(headers(1), frame(DATA, 0, 1)), 5_000, ENHANCE_YOUR_CALM),
    "padding alone": Attack(
        _after(headers(1), frame(DATA, 8, 1, b"\xff" + bytes(255))), 5_000, ENHANCE_YOUR_CALM
    ),
    "an HPACK bomb": Attack(
        _after(
            frame(HEADERS, END_HEADERS, 1, block() + _LONG_FIELD),
            frame(HEADERS, END_HEADERS, 3, b"\xbe" * 4000),
        ),
        3,
        ENHANCE_YOUR_CALM,
    ),
    "HPACK bombs that are just small enough, on many streams": Attack(_bombs, 3_000, None),
    "gzip bombs": Attack(_each(lambda id: headers(id, _ZIPPED) + data(id, _GZIP_BOMB)), 300, None),
    "PRIORITY": Attack(_always(frame(PRIORITY, 0, 1, word(0) + b"\0")), 5_000, ENHANCE_YOUR_CALM),
    "WINDOW_UPDATE": Attack(_after(call(1), window(0, 1)), 10_000, ENHANCE_YOUR_CALM),
    "WINDOW_UPDATE of a stream": Attack(_after(call(1), window(1, 1)), 10_000, ENHANCE_YOUR_CALM),
    "unknown frames": Attack(_always(frame(200, 0, 0, b"?")), 5_000, ENHANCE_YOUR_CALM),
    "GOAWAYs": Attack(_always(frame(GOAWAY, 0, 0, bytes(1000))), 5_000, None),
    "a frame that is too large": Attack(
        _after(bytes((255, 255, 255, DATA, 0)) + word(1), bytes(1 << 16)), 100, FRAME_SIZE
    ),
    "a frame without an end": Attack(
        lambda: iter([headers(1) + bytes((3, 255, 255, DATA, 0)) + word(1), bytes(200_000)]),
        2,
        None,
    ),
    "a body in frames of two bytes": Attack(
        _after(_UPLOAD, data(1, b"..", flags=0)), 60_000, None, 2 << 20
    ),
    "streams without an end": Attack(_each(headers), 9_000, None),
    "refusals that nobody reads": Attack(_each(lambda id: headers(id, flags=5)), 9_000, None),
    "foreign requests": Attack(
        # Their answers wait for a window, until no more streams may be open.
        _each(lambda id: call(id, fields=_FOREIGN)),
        20_000,
        ENHANCE_YOUR_CALM,
    ),
    "foreign requests without an end": Attack(_each(lambda id: headers(id, _FOREIGN)), 9_000, None),
}
