"""A table of RFC 9113's rules for what a client may send: each fault, and how it ends a stream or the connection."""

from typing import NamedTuple

import pytest

from tests.frontend.transport.http2.machine import Machine
from tests.frontend.transport.http2.wire import (
    ACK,
    COMPRESSION,
    CONTINUATION,
    DATA,
    ENABLE_PUSH,
    END_HEADERS,
    END_STREAM,
    FIRST_WINDOW,
    FLOW_CONTROL,
    FRAME_BYTES,
    FRAME_SIZE,
    GOAWAY,
    HAS_PRIORITY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PROTOCOL,
    PUSH,
    REQUEST,
    RESET,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW,
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
    without,
    word,
)

#: More than the window that a client has, and than a frame may have.
TOO_LARGE = 1 << 24


class Dies(NamedTuple):
    """The connection ends with a GOAWAY of one of these codes."""

    codes: tuple[int, ...]


class Resets(NamedTuple):
    """The stream ends with a RST_STREAM; the connection goes on."""

    stream: int
    code: int


class Lives(NamedTuple):
    """No fault: the connection goes on, and no stream ends by RST_STREAM."""


def dies(*codes: int) -> Dies:
    return Dies(codes)


LIVES = Lives()
OPEN = headers(1)
WHOLE = call(1)
CANCELLED = WHOLE + reset(1)
PART = frame(HEADERS, END_STREAM, 1, block()[:10])
REST = frame(CONTINUATION, END_HEADERS, 1, block()[10:])


def request(*more: tuple[str, str]) -> bytes:
    return call(1, fields=with_(*more))


def raw(*fields: tuple[str, str]) -> bytes:
    return headers(1, [*REQUEST, *fields]) + data(1)


def first(*fields: tuple[str, str]) -> bytes:
    return headers(1, [*fields, *REQUEST]) + data(1)


#: Section and rule → what the client sends after the preface and its settings, and what comes of it.
RULES: dict[str, tuple[bytes, Dies | Resets | Lives]] = {
    "4.1 a frame of an unknown type is ignored": (frame(99, 0xFF, 0, b"abc") + ping(), LIVES),
    "4.1 unknown flags are ignored": (frame(PING, 0xFE, 0, b"12345678"), LIVES),
    "4.1 the reserved bit of a stream id is ignored": (
        frame(HEADERS, END_HEADERS, 1 | 1 << 31, block()) + data(1),
        LIVES,
    ),
    "4.2 a frame larger than we take": (frame(DATA, 0, 1, bytes((1 << 18) + 1)), dies(FRAME_SIZE)),
    "4.2 headers larger than a frame may be": (
        OPEN + (TOO_LARGE - 1).to_bytes(3, "big") + bytes((HEADERS, 4)) + word(3),
        dies(FRAME_SIZE),
    ),
    "4.3 a header block that cannot be read": (frame(HEADERS, 5, 1, b"\xff" * 8), dies(COMPRESSION)),
    "4.3 an unreadable block of trailers": (OPEN + frame(HEADERS, 5, 1, b"\x80"), dies(COMPRESSION)),
    "4.3 another frame within a header block": (PART + ping() + REST, dies(PROTOCOL)),
    "4.3 an unknown frame within a header block": (PART + frame(99) + REST, dies(PROTOCOL)),
    "4.3 another stream within a header block": (
        PART + frame(CONTINUATION, END_HEADERS, 3, b""),
        dies(PROTOCOL),
    ),
    "4.3 a header block in parts": (PART + REST, LIVES),
    "4.3 a header block in parts, one of them empty": (
        PART + frame(CONTINUATION, 0, 1) + REST,
        LIVES,
    ),
    "5.1 idle: DATA": (data(1), dies(PROTOCOL)),
    "5.1 idle: RST_STREAM": (reset(1), dies(PROTOCOL)),
    "5.1 idle: WINDOW_UPDATE": (window(1, 1), dies(PROTOCOL)),
    "5.1 idle: CONTINUATION": (frame(CONTINUATION, 4, 1, block()), dies(PROTOCOL)),
    "5.1 idle: PRIORITY": (frame(PRIORITY, 0, 1, word(0) + b"\x10"), LIVES),
    "5.1 half closed: DATA": (WHOLE + data(1), Resets(1, STREAM_CLOSED)),
    "5.1 half closed: HEADERS": (WHOLE + headers(1, flags=5), Resets(1, STREAM_CLOSED)),
    "5.1 half closed: CONTINUATION": (WHOLE + frame(CONTINUATION, 4, 1, b""), dies(PROTOCOL)),
    "5.1 half closed: WINDOW_UPDATE": (WHOLE + window(1, 5), LIVES),
    "5.1 half closed: PRIORITY": (WHOLE + frame(PRIORITY, 0, 1, word(0) + b"\0"), LIVES),
    "5.1 half closed: RST_STREAM": (CANCELLED, LIVES),
    "5.1 closed by RST_STREAM: DATA": (CANCELLED + data(1), Resets(1, STREAM_CLOSED)),
    "5.1 closed by RST_STREAM: HEADERS": (CANCELLED + headers(1), dies(STREAM_CLOSED)),
    "5.1 closed by RST_STREAM: CONTINUATION": (
        CANCELLED + frame(CONTINUATION, 4, 1, b""),
        dies(PROTOCOL),
    ),
    "5.1 closed by RST_STREAM: WINDOW_UPDATE": (CANCELLED + window(1, 5), LIVES),
    "5.1 closed by RST_STREAM: RST_STREAM": (CANCELLED + reset(1), LIVES),
    "5.1 closed by RST_STREAM: PRIORITY": (CANCELLED + frame(PRIORITY, 0, 1, word(0) + b"\0"), LIVES),
    "5.1.1 an even stream id": (headers(2), dies(PROTOCOL)),
    "5.1.1 a stream id lower than the last": (call(5) + headers(3), dies(PROTOCOL)),
    "5.1.1 stream ids may be left out": (call(5) + call(101), LIVES),
    "5.3.2 PRIORITY of a wrong size": (WHOLE + frame(PRIORITY, 0, 1, b"1234"), Resets(1, FRAME_SIZE)),
    "6.1 DATA on stream 0": (frame(DATA, 0, 0, b"a"), dies(PROTOCOL)),
    "6.1 padding": (OPEN + frame(DATA, PADDED | 1, 1, b"\x02" + message() + b"pp"), LIVES),
    "6.1 padding alone": (OPEN + frame(DATA, PADDED, 1, b"\x02pp") + data(1), LIVES),
    "6.1 padding longer than DATA": (OPEN + frame(DATA, PADDED, 1, b"\x02p"), dies(PROTOCOL)),
    "6.1 padding without its length": (OPEN + frame(DATA, PADDED, 1), dies(FRAME_SIZE, PROTOCOL)),
    "6.2 HEADERS on stream 0": (frame(HEADERS, 5, 0, block()), dies(PROTOCOL)),
    "6.2 padding": (frame(HEADERS, PADDED | 5, 1, b"\x02" + block() + b"pp"), LIVES),
    "6.2 padding longer than HEADERS": (frame(HEADERS, PADDED | 5, 1, b"\x09p"), dies(PROTOCOL)),
    "6.2 a priority": (frame(HEADERS, HAS_PRIORITY | 5, 1, word(0) + b"\x10" + block()), LIVES),
    "6.2 padding and a priority": (
        frame(HEADERS, PADDED | HAS_PRIORITY | 5, 1, b"\x01" + word(0) + b"\x10" + block() + b"p"),
        LIVES,
    ),
    "6.2 a priority that is cut off": (
        frame(HEADERS, HAS_PRIORITY | 5, 1, b"abcd"),
        dies(FRAME_SIZE, PROTOCOL),
    ),
    "6.3 PRIORITY on stream 0": (frame(PRIORITY, 0, 0, word(0) + b"\0"), dies(PROTOCOL)),
    "6.4 RST_STREAM on stream 0": (reset(0), dies(PROTOCOL)),
    "6.4 RST_STREAM of a wrong size": (WHOLE + frame(RESET, 0, 1, b"123"), dies(FRAME_SIZE)),
    "6.5 SETTINGS on a stream": (settings(stream=1), dies(PROTOCOL)),
    "6.5 SETTINGS of a wrong size": (frame(SETTINGS, 0, 0, b"1234567"), dies(FRAME_SIZE)),
    "6.5 an acknowledgement with contents": (settings((3, 1), flags=ACK), dies(FRAME_SIZE)),
    "6.5 an acknowledgement": (settings(flags=ACK), LIVES),
    "6.5.2 ENABLE_PUSH beyond 1": (settings((ENABLE_PUSH, 2)), dies(PROTOCOL)),
    "6.5.2 ENABLE_PUSH": (settings((ENABLE_PUSH, 1)), LIVES),
    "6.5.2 a window beyond 2^31-1": (settings((FIRST_WINDOW, 1 << 31)), dies(FLOW_CONTROL)),
    "6.5.2 a window beyond 2^31-1, taken back at once": (
        settings((FIRST_WINDOW, 1 << 31), (FIRST_WINDOW, 1)),
        dies(FLOW_CONTROL),
    ),
    "6.5.2 the largest window": (settings((FIRST_WINDOW, (1 << 31) - 1)), LIVES),
    "6.5.2 frames that are too small": (settings((FRAME_BYTES, (1 << 14) - 1)), dies(PROTOCOL)),
    "6.5.2 frames that are too large": (settings((FRAME_BYTES, 1 << 24)), dies(PROTOCOL)),
    "6.5.2 an unknown setting": (settings((0xABCD, 0xFFFFFFFF), (0, 0)), LIVES),
    "6.6 PUSH_PROMISE": (frame(PUSH, 4, 1, word(2) + block()), dies(PROTOCOL)),
    "6.7 PING on a stream": (ping(stream=1), dies(PROTOCOL)),
    "6.7 PING of a wrong size": (ping(b"1234567"), dies(FRAME_SIZE)),
    "6.7 an acknowledgement that nobody asked for": (ping(flags=ACK), LIVES),
    "6.8 GOAWAY on a stream": (frame(GOAWAY, 0, 1, bytes(8)), dies(PROTOCOL)),
    "6.8 GOAWAY": (frame(GOAWAY, 0, 0, bytes(8) + b"bye"), LIVES),
    "6.8 GOAWAY that is cut off": (frame(GOAWAY, 0, 0, bytes(7)), dies(FRAME_SIZE)),
    "6.9 WINDOW_UPDATE of a wrong size": (frame(WINDOW, 0, 0, b"123"), dies(FRAME_SIZE)),
    "6.9 WINDOW_UPDATE by 0 of the connection": (window(0, 0), dies(PROTOCOL)),
    "6.9 WINDOW_UPDATE by 0 of a stream": (WHOLE + window(1, 0), Resets(1, PROTOCOL)),
    "6.9 the reserved bit is ignored": (window(0, 1 << 31 | 1), LIVES),
    "6.9.1 the connection's window beyond 2^31-1": (
        window(0, (1 << 31) - 1),
        dies(FLOW_CONTROL),
    ),
    "6.9.1 a stream's window beyond 2^31-1": (
        WHOLE + window(1, (1 << 31) - 1),
        Resets(1, FLOW_CONTROL),
    ),
    "6.9.2 a new first window that makes a stream's too large": (
        WHOLE + window(1, 1 << 30) + settings((FIRST_WINDOW, (1 << 31) - 1)),
        dies(FLOW_CONTROL),
    ),
    "6.10 CONTINUATION on stream 0": (PART + frame(CONTINUATION, 4, 0, b""), dies(PROTOCOL)),
    "6.10 CONTINUATION after the end of the block": (
        headers(1) + frame(CONTINUATION, 4, 1, b""),
        dies(PROTOCOL),
    ),
    "6.10 CONTINUATION after DATA": (
        OPEN + data(1, flags=0) + frame(CONTINUATION, 4, 1, b""),
        dies(PROTOCOL),
    ),
    "8.1 trailers": (OPEN + data(1, flags=0) + headers(1, [("a", "b")], flags=5), LIVES),
    "8.1 trailers that end nothing": (
        OPEN + data(1, flags=0) + headers(1, [("a", "b")]),
        Resets(1, PROTOCOL),
    ),
    "8.1 trailers with a pseudo header": (
        OPEN + data(1, flags=0) + headers(1, [(":path", "/")], flags=5),
        Resets(1, PROTOCOL),
    ),
    "8.1.1 content-length of more than the body": (request(("content-length", "6")), Resets(1, PROTOCOL)),
    "8.1.1 content-length of less than the body": (request(("content-length", "4")), Resets(1, PROTOCOL)),
    "8.1.1 content-length of several frames": (
        headers(1, with_(("content-length", "5")))
        + data(1, message()[:2], flags=0)
        + data(1, message()[2:]),
        LIVES,
    ),
    "8.1.1 a content-length that is no number": (request(("content-length", "+5")), Resets(1, PROTOCOL)),
    "8.1.1 two content-lengths that differ": (
        raw(("content-length", "5"), ("content-length", "6")),
        Resets(1, PROTOCOL),
    ),
    "8.1.1 two content-lengths that differ, the last one right": (
        raw(("content-length", "6"), ("content-length", "5")),
        Resets(1, PROTOCOL),
    ),
    "8.1.1 content-length without a body": (
        headers(1, with_(("content-length", "1")), flags=5),
        Resets(1, PROTOCOL),
    ),
    "8.2 an upper-case name": (request(("X-Test", "a")), Resets(1, PROTOCOL)),
    "8.2.1 a name with a space": (request(("x test", "a")), Resets(1, PROTOCOL)),
    "8.2.1 an empty name": (request(("", "a")), Resets(1, PROTOCOL)),
    "8.2.1 a name with a colon": (request(("x:test", "a")), Resets(1, PROTOCOL)),
    "8.2.1 a name of gRPC's with a line break": (request(("grpc-\n", "a")), Resets(1, PROTOCOL)),
    "8.2.1 a value with a NUL": (request(("x", "a\0b")), Resets(1, PROTOCOL)),
    "8.2.1 a value with a line break": (request(("x", "a\nb")), Resets(1, PROTOCOL)),
    "8.2.1 a value with a carriage return": (request(("x", "a\rb")), Resets(1, PROTOCOL)),
    "8.2.1 a value that begins with a space": (request(("x", " a")), Resets(1, PROTOCOL)),
    "8.2.1 a value that ends with a tab": (request(("x", "a\t")), Resets(1, PROTOCOL)),
    "8.2.1 a path with a line break": (request((":path", "/a\n")), Resets(1, PROTOCOL)),
    "8.2.1 an authority with a NUL": (request((":authority", "a\0")), Resets(1, PROTOCOL)),
    "8.2.1 a value beyond ASCII": (request(("x", "grüße")), LIVES),
    "8.2.1 an empty value": (request(("x", "")), LIVES),
    "8.2.2 connection": (request(("connection", "close")), Resets(1, PROTOCOL)),
    "8.2.2 transfer-encoding": (request(("transfer-encoding", "chunked")), Resets(1, PROTOCOL)),
    "8.2.2 upgrade": (request(("upgrade", "h2c")), Resets(1, PROTOCOL)),
    "8.2.2 keep-alive": (request(("keep-alive", "1")), Resets(1, PROTOCOL)),
    "8.2.2 te with another value": (request(("te", "gzip")), Resets(1, PROTOCOL)),
    "8.3 a response's pseudo header": (first((":status", "200")), Resets(1, PROTOCOL)),
    "8.3 an unknown pseudo header": (first((":test", "a")), Resets(1, PROTOCOL)),
    "8.3 a pseudo header after the others": (
        headers(1, [*without(":authority"), (":authority", "x")], flags=5),
        Resets(1, PROTOCOL),
    ),
    "8.3 a pseudo header twice": (first((":path", "/")), Resets(1, PROTOCOL)),
    "8.3.1 no :method": (headers(1, without(":method"), flags=5), Resets(1, PROTOCOL)),
    "8.3.1 no :scheme": (headers(1, without(":scheme"), flags=5), Resets(1, PROTOCOL)),
    "8.3.1 no :path": (headers(1, without(":path"), flags=5), Resets(1, PROTOCOL)),
    "8.3.1 an empty :path": (request((":path", "")), Resets(1, PROTOCOL)),
    "8.3.1 no :authority": (headers(1, without(":authority")) + data(1), LIVES),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule):
    sent, verdict = RULES[rule]
    machine = Machine()

    told = machine.hear(sent)

    ends = [f for f in told if f.kind == GOAWAY]
    resets = [(f.stream, f.error) for f in told if f.kind == RESET and f.error]
    match verdict:
        case Dies(codes):
            assert machine.is_over
            assert [f.error in codes for f in ends] == [True], ends
            assert machine.hear(call(1001)) == []
        case Resets(stream, code):
            assert (ends, resets) == ([], [(stream, code)])
            _goes_on(machine)
        case Lives():
            assert (ends, resets) == ([], [])
            _goes_on(machine)


def _goes_on(machine):
    """Let the machine show that a call still comes through, and is answered."""
    assert not machine.is_over
    machine.hear(call(1001, b"still there?"))
    assert machine.calls[1001].message == b"still there?"
    machine.answer(1001, b"yes")
    kinds = [f.kind for f in machine.frames() if f.stream == 1001]
    assert kinds == [HEADERS, DATA, HEADERS]


PREFACES: dict[str, bytes] = {
    "another protocol": b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
    "TLS where none is spoken": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a preface with a letter that is wrong": PREFACE[:-3] + b"X\r\n" + settings(),
    "a frame other than SETTINGS first": PREFACE + ping() + settings(),
    "headers first": PREFACE + headers(1) + settings(),
    "an acknowledgement first": PREFACE + settings(flags=ACK),
}


@pytest.mark.parametrize("name", PREFACES)
def test_section_3_4_a_preface_that_is_wrong(name):
    machine = Machine(is_greeted=False)

    told = machine.hear(PREFACES[name])

    assert machine.is_over
    assert [f.error for f in told if f.kind == GOAWAY] == [PROTOCOL]
    # RFC 9113, 3.4: the server's preface is SETTINGS, and it is the first frame in any case.
    assert told[0].kind == SETTINGS


def test_settings_are_acknowledged_in_order():
    machine = Machine(is_greeted=False)
    told = machine.hear(PREFACE + settings((FIRST_WINDOW, 5)) + ping(b"abcdefgh") + settings())
    acks = [(f.kind, f.payload) for f in told if f.flags & ACK]
    assert acks == [(SETTINGS, b""), (PING, b"abcdefgh"), (SETTINGS, b"")]


def test_what_comes_after_the_end_is_not_read():
    machine = Machine()
    machine.hear(data(1))
    assert machine.is_over
    assert machine.hear(call(3)) == []
    assert machine.calls == {}


def test_data_that_was_on_its_way_when_we_reset_the_stream_is_ignored():
    """RFC 9113, 5.1: the client cannot know yet. Its bytes count for the connection's window all the same."""
    machine = Machine()
    machine.hear(headers(1, with_(("content-length", "1"))))
    assert [f.kind for f in machine.hear(data(1, b"12"))] == [RESET]

    told = machine.hear(data(1, b"3" * 100) + headers(1, [("late", "trailers")], flags=5))

    assert told == []
    _goes_on(machine)


def test_settings_are_acknowledged_before_the_data_that_they_let_go():
    """RFC 9113, 6.5.3: at once. A client may otherwise take the data for more than it has granted."""
    machine = Machine()
    machine.hear(settings((FIRST_WINDOW, 0)) + call(1))
    machine.answer(1, b"")
    assert [f.kind for f in machine.frames()] == [HEADERS]

    told = machine.hear(settings((FIRST_WINDOW, 1)))

    assert [(f.kind, len(f.payload)) for f in told] == [(SETTINGS, 0), (DATA, 1)]
