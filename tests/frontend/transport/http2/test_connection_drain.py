"""A server that stops says which calls it still answers, and keeps its word."""

from perdure.frontend.transport.http2.connection import Http2Connection
from perdure.frontend.transport.http2.frames import GOAWAY, STREAM_MAX, Fault, frame, word


def goodbye(last: int) -> bytes:
    return frame(GOAWAY, 0, 0, word(last) + word(Fault.NO_ERROR))


def test_no_later_word_names_a_higher_stream():
    connection = Http2Connection()
    connection.take()
    connection.go_away(is_last_word=False)
    assert connection.take() == goodbye(STREAM_MAX)
    connection.go_away(is_last_word=True)
    assert connection.take() == goodbye(0)
    connection.go_away(is_last_word=False)
    assert connection.take() == b""
