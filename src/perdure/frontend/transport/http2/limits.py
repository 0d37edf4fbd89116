"""The limits of one connection: how much it may hold and do. `docs/transport.md` tells what clients notice of each."""

from dataclasses import dataclass

#: Temporal: a larger request is refused. SDKs know that by the text, and fail the workflow task with its own cause.
MESSAGE_BYTES_MAX = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits of a connection; the defaults are those of the server. All sizes are in bytes."""

    #: Streams that are open at a time. More are refused, and clients try those again.
    streams: int = 8192
    #: A request's message, once it is decompressed.
    message_bytes: int = MESSAGE_BYTES_MAX
    #: The window that a client gets for each stream, and for the connection. A whole message fits, so that a client
    #: need not wait for us in the middle of one.
    window_bytes: int = 8 * 1024 * 1024
    #: A frame that a client may send.
    frame_bytes: int = 256 * 1024
    #: The frames of one header block together, and the headers that come out of it.
    header_bytes: int = 1024 * 1024
    #: Frames of one header block after the first.
    continuations: int = 64
    #: A frame of settings. There are seven, of six bytes each; more of them in one frame say the same thing again.
    settings_bytes: int = 6 * 64
    #: Headers of one request.
    fields: int = 256
    #: The requests of all open calls together, complete or not. More calls are refused.
    request_bytes: int = 128 * 1024 * 1024
    #: While complete requests hold more, the client gets no new window.
    request_bytes_soft: int = 32 * 1024 * 1024
    #: Messages of a streaming call that may come in one frame.
    messages_a_frame: int = 64
    #: Answers that the client leaves unread. An answer beyond that is not sent: the call fails.
    held_bytes: int = 128 * 1024 * 1024
    #: Frames that cost us and not the client (pings, settings, empty data), until a call is answered or `forgive`.
    nuisances: int = 1000
    #: Calls that the client cancels, less those that are answered, until `forgive`. All that are open is no fault.
    cancellations: int = 2 * 8192


#: The limits of the server.
LIMITS = ConnectionLimits()
