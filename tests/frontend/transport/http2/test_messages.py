"""Messages that are compressed: no more of them is taken apart than may be taken."""

import gzip
import tracemalloc
import zlib

import pytest

from perdure.frontend.transport.http2.messages import CallRefused, message_of

SIZE_MAX = 1 << 16


def body(compressed: bytes) -> bytes:
    return b"\x01" + len(compressed).to_bytes(4, "big") + compressed


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_the_largest_message_is_taken_and_a_larger_one_refused(encoding, compress):
    assert message_of(body(compress(bytes(SIZE_MAX))), encoding, SIZE_MAX) == bytes(SIZE_MAX)
    with pytest.raises(CallRefused) as refused:
        message_of(body(compress(bytes(SIZE_MAX + 1))), encoding, SIZE_MAX)
    assert refused.value.code == 8


def test_a_bomb_is_not_taken_apart():
    bomb = body(gzip.compress(bytes(1 << 25)))
    tracemalloc.start()
    try:
        with pytest.raises(CallRefused):
            message_of(bomb, "gzip", SIZE_MAX)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 21


def test_what_ends_too_early_is_refused():
    with pytest.raises(CallRefused) as refused:
        message_of(body(gzip.compress(bytes(1000))[:-9]), "gzip", SIZE_MAX)
    assert refused.value.code == 13
