"""HTTP/2 for unary and streaming gRPC calls, as a pure machine: bytes in, calls out; answers in, bytes out.

limits.py         what a connection may hold and do
frames.py         the bytes of frames
header_reader.py  HPACK, the compression of headers
request_head.py   the headers of a request, checked
messages.py       messages in the body of a request
streams.py        a stream, and what happens to it
header_writer.py  the header blocks of answers
answers.py        answers, and how they wait for the client's windows
patience.py       how much a client may cost us
requests.py       streams, and the bodies of their requests
connection.py     a connection: its frames

Nothing here waits, or knows a clock, a socket or a log. The rules are those of RFC 9113 (HTTP/2), RFC 7541 (HPACK) and
gRPC's "gRPC over HTTP2".
"""
