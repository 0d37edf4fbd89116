"""Requests from their first header to the end of their body: how many may be open, and what headers mean."""

from perdure.frontend.transport.http2.limits import ConnectionLimits
from tests.frontend.transport.http2.machine import Machine
from tests.frontend.transport.http2.wire import (
    END_HEADERS,
    END_STREAM,
    HEADERS,
    REFUSED_STREAM,
    REQUEST,
    RESET,
    data,
    frame,
    message,
)


def literal(name: str, value: str, first: int = 0) -> bytes:
    """Return a field without Huffman codes; with 0x40 as `first` it enters the table."""
    return bytes((first, len(name))) + name.encode() + bytes((len(value),)) + value.encode()


BASE = b"".join(literal(name, value) for name, value in REQUEST)
#: The newest entry of the client's table.
NEWEST = b"\xbe"


def test_a_call_beyond_the_last_is_refused_and_not_begun():
    machine = Machine(ConnectionLimits(streams=2))
    for id in (1, 3, 5):
        machine.hear(frame(HEADERS, END_HEADERS, id, BASE))
    refused = machine.hear(frame(HEADERS, END_HEADERS, 7, BASE))
    assert [(each.kind, each.stream, each.error) for each in refused] == [
        (RESET, 7, REFUSED_STREAM)
    ]
    assert sorted(machine.connection.streams) == [1, 3]


def test_the_same_bytes_mean_something_else_once_the_table_has_changed():
    """Also by trailers: their headers are nobody's, but they enter the table."""
    machine = Machine()

    def call(id: int, block: bytes) -> str:
        machine.hear(frame(HEADERS, END_HEADERS, id, block) + data(id, message(b"")))
        return machine.calls[id].head.metadata["x"]

    assert call(1, BASE + literal("x", "1", 0x40)) == "1"
    assert call(3, BASE + NEWEST) == "1"
    assert call(5, BASE + NEWEST) == "1"
    machine.hear(
        frame(HEADERS, END_HEADERS, 7, BASE)
        + data(7, message(b""), 0)
        + frame(HEADERS, END_HEADERS | END_STREAM, 7, literal("x", "2", 0x40))
    )
    assert call(9, BASE + NEWEST) == "2"
