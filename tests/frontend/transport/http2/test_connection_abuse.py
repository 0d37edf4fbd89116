"""Hostile clients: the machine ends the connection in time, and never holds more than its limits let."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from perdure.frontend.transport.http2.limits import ConnectionLimits
from tests.frontend.transport.http2.attacks import ATTACKS
from tests.frontend.transport.http2.machine import Machine
from tests.frontend.transport.http2.wire import (
    FIRST_WINDOW,
    GOAWAY,
    call,
    reset,
    settings,
)

MIB = 1 << 20
#: As the server's, but that what requests and answers may hold is a tenth: then less has to be sent to see it.
LIMITS = ConnectionLimits(
    request_bytes=12 * MIB, request_bytes_soft=3 * MIB, held_bytes=12 * MIB, streams=8192
)
#: The limits, twice that for what is under way, and some 1.5 KB for each of the streams that may be open.
HELD_BYTES_MAX = 48 * MIB


@contextmanager
def bounded(peak_bytes: int = HELD_BYTES_MAX) -> Iterator[None]:
    """Measure what Python's objects take meanwhile."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < peak_bytes, f"{peak / MIB:.0f} MiB were held"


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_ends_or_holds_little(name):
    attack = ATTACKS[name]
    machine = Machine(LIMITS)
    told = []
    pieces = attack.pieces()
    with bounded(attack.held_bytes_max or HELD_BYTES_MAX):
        for _, piece in zip(range(attack.count), pieces, strict=False):
            told = machine.hear(piece)
            if machine.is_over:
                break
    if attack.code is None:
        assert not machine.is_over
    else:
        assert [frame.error for frame in told if frame.kind == GOAWAY] == [attack.code]


def test_answers_that_nobody_reads_are_bounded():
    """30,000 calls with answers of 20 KB; the client grants no window."""
    machine = Machine(LIMITS)
    machine.hear(settings((FIRST_WINDOW, 0)))
    with bounded():
        for id in range(1, 60_000, 2):
            machine.hear(call(id))
            if id in machine.calls:
                machine.answer(id, b"x" * 20_000)
                machine.frames()
            if machine.is_over:
                break
    assert machine.connection.answers.held_bytes <= LIMITS.held_bytes


@pytest.mark.parametrize("is_the_connections", [True, False])
def test_answers_that_are_cancelled_before_they_are_read_leave_nothing(is_the_connections):
    """The window of the connection, or of each stream, is used up for ever."""
    machine = Machine(LIMITS)
    if not is_the_connections:
        machine.hear(settings((FIRST_WINDOW, 0)))
    with bounded(4 * MIB):
        for id in range(1, 6_000, 2):
            machine.hear(call(id, b"q" * 2000))
            machine.answer(id, b"a" * 100_000)
            machine.hear(reset(id))
            machine.connection.forgive()
            assert not machine.is_over
    # The first one may have left before it was cancelled.
    assert len(machine.connection.streams) == 0
    assert machine.connection.answers.held_bytes == 0


def test_bytes_that_are_no_preface_yet_are_bounded():
    machine = Machine(LIMITS, is_greeted=False)
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r":
        machine.hear(bytes((byte,)))
    assert not machine.is_over
    assert not machine.connection.is_greeted


def test_clients_that_do_as_they_may_are_not_cut_off():
    """It looks like abuse and is none: bursts that are cancelled, and pings and windows that come with calls."""
    machine = Machine()
    ids = range(1, 2 * 8192, 2)
    machine.hear(b"".join(map(call, ids)))
    assert len(machine.calls) == 8192
    machine.hear(b"".join(map(reset, ids)))
    assert not machine.is_over
    for id in range(20_001, 30_000, 2):
        machine.hear(call(id))
        machine.answer(id, b"")
        machine.frames()
    assert not machine.is_over
