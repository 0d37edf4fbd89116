"""Connections: HTTP/1.1 over sockets, on the event loop of the server. h11 knows the protocol.

A connection answers one request at a time. Every wait for a client ends some time, and every buffer has a bound. If a
client goes away, its call is cancelled.
"""

import asyncio
import ssl
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

import h11
import structlog

from perdure.frontend.transport.http.api import (
    BadRequest,
    HttpApi,
    HttpRequest,
    Response,
)

log = structlog.get_logger(__name__)

#: Temporal: a request's body may be as large as this.
BODY_BYTES_MAX = 4 * 1024 * 1024
#: Temporal: Go accepts headers up to this size.
_HEADERS_BYTES_MAX = 1024 * 1024
#: Temporal: a client may take this long to send a request, to receive an answer, or to do nothing.
IDLE_S = 120.0
#: Bytes that are kept of requests that come while an earlier one is answered.
_AHEAD_BYTES_MAX = 64 * 1024
#: A client whose request was refused early has this long to read the answer.
_LINGER_S = 0.5
_REASONS = {each.value: each.phrase.encode() for each in HTTPStatus}


class HttpServer:
    def __init__(self, api: HttpApi, tls: ssl.SSLContext | None = None) -> None:
        self.api = api
        self._tls = tls
        self.connections: set[_Connection] = set()
        self.is_draining = False
        self._server: asyncio.Server | None = None

    async def start(self, ip: str, port: int) -> int:
        """Listen; return the port. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self), ip or None, port, ssl=self._tls
        )
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    def drain(self) -> None:
        """Take no new connections and no new requests. Calls under way go on."""
        self.is_draining = True
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.drain()

    async def stop(self, grace_s: float) -> None:
        """Wait for the calls under way, for up to `grace_s`, and close the connections."""
        self.drain()
        calls = [each.call for each in self.connections if each.call is not None]
        if calls:
            await asyncio.wait(calls, timeout=grace_s)
        for connection in list(self.connections):
            connection.cut_off()
        self._server = None


class _Connection(asyncio.Protocol):
    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEADERS_BYTES_MAX)
        self._transport: asyncio.Transport
        self._peer_ip = ""
        self._head: h11.Request | None = None
        self._body = bytearray()
        self._ahead_bytes = 0
        #: All that the client still sends is ignored.
        self._is_ending = False
        self._can_write = True
        self._end: asyncio.TimerHandle | None = None
        self.call: asyncio.Task[None] | None = None

    # Methods that asyncio calls

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._peer_ip = str(peer[0]) if peer else ""
        self._server.connections.add(self)
        self._end_in(IDLE_S)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.discard(self)
        self._is_ending = True
        if self._end is not None:
            self._end.cancel()
        if self.call is not None:
            self.call.cancel()

    def eof_received(self) -> bool:
        return False  # The transport closes itself, and `connection_lost` is called.

    def pause_writing(self) -> None:
        self._can_write = False

    def resume_writing(self) -> None:
        self._can_write = True
        if self.call is None and not self._is_ending:
            self._go_on()

    def data_received(self, data: bytes) -> None:
        if self._is_ending:
            return
        try:
            self._http.receive_data(data)
        except h11.RemoteProtocolError as error:
            self._give_up(error)
            return
        if self.call is not None or not self._can_write:
            self._ahead_bytes += len(data)
            if self._ahead_bytes > _AHEAD_BYTES_MAX:
                self._transport.pause_reading()
            return
        self._read()

    # Requests

    def _read(self) -> None:
        """Read as much of the next request as has arrived; begin to answer it once it is complete."""
        while not self._is_ending and self.call is None:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                self._give_up(error)
                return
            if isinstance(event, h11.Request):
                self._head = event
                if not _is_expected(event):
                    self._send(_NOT_EXPECTED, closes=True)
                    self._linger()
                    return
                if self._http.they_are_waiting_for_100_continue:
                    self._write(h11.InformationalResponse(status_code=100, headers=[]))
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > BODY_BYTES_MAX:
                    self._begin(None)
            elif isinstance(event, h11.EndOfMessage):
                self._begin(bytes(self._body))
            elif isinstance(event, h11.ConnectionClosed):
                self.close()
            else:
                return

    def _begin(self, body: bytes | None) -> None:
        head = self._head
        assert head is not None
        self._body = bytearray()
        self._is_ending = body is None
        request = HttpRequest(
            head.method.decode(),
            head.target.decode("latin-1"),
            [(name.decode(), value.decode("latin-1")) for name, value in head.headers],
            body,
            self._peer_ip,
        )
        self._end_in(None)
        self.call = asyncio.get_running_loop().create_task(self._answer(request))

    async def _answer(self, request: HttpRequest) -> None:
        try:
            response = await self._server.api.respond(request)
        except BadRequest:
            response = _BAD_REQUEST
        except Exception:
            log.exception("bug: a request failed", verb=request.verb)
            response = _FAILED
        self.call = None
        if self._transport.is_closing():
            return
        closes = response.closes or self._server.is_draining
        try:
            self._send(response, closes=closes, is_head=request.verb == "HEAD")
        except h11.LocalProtocolError:
            log.exception(
                "bug: a response is not valid HTTP", verb=request.verb, status=response.status
            )
            self._transport.abort()
            return
        if response.closes:
            self._linger()
        elif closes or self._http.our_state is h11.MUST_CLOSE:
            self.close()
        elif self._can_write:
            self._go_on()
        else:
            self._end_in(IDLE_S)

    def _go_on(self) -> None:
        """Turn to the next request of the connection."""
        self._head = None
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        self._end_in(IDLE_S)
        self._ahead_bytes = 0
        self._transport.resume_reading()
        self._read()

    # Answers

    def _send(self, response: Response, *, closes: bool, is_head: bool = False) -> None:
        headers = [*response.headers, ("Date", formatdate(usegmt=True))]
        headers.append(("Content-Length", str(len(response.body))))
        if closes:
            headers.append(("Connection", "close"))
        self._write(
            h11.Response(
                status_code=response.status,
                headers=headers,
                reason=_REASONS.get(response.status, b""),
            )
        )
        if response.body and not is_head:
            self._write(h11.Data(data=response.body))
        self._write(h11.EndOfMessage())

    def _write(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._transport.write(data)

    def _give_up(self, error: h11.RemoteProtocolError) -> None:
        """Answer that the request is not HTTP, if an answer can still be sent."""
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE) and self.call is None:
            response = _BAD_REQUEST._replace(status=error.error_status_hint)
            self._send(response, closes=True)
            self._linger()
        else:
            self.close()

    # The end

    def drain(self) -> None:
        if self.call is None and self._head is None:
            self.close()

    def cut_off(self) -> None:
        """Close the connection. A client that still waits for an answer gets 503."""
        if self.call is not None and self._http.our_state is h11.SEND_RESPONSE:
            self.call.cancel()
            self.call = None
            self._send(_GOING, closes=True)
        self.close()

    def close(self) -> None:
        self._is_ending = True
        if self.call is not None:
            self.call.cancel()
        self._transport.close()
        # The answer that is written still goes out, but a client may not take for ever to read it.
        self._end_in(IDLE_S)

    def _linger(self) -> None:
        """Let the client read the answer before it notices that the server reads no more."""
        self._is_ending = True
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._end_in(_LINGER_S)

    def _end_in(self, seconds: float | None) -> None:
        """End the connection after some seconds in which nothing happens; None: not while a call is under way."""
        if self._end is not None:
            self._end.cancel()
            self._end = None
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self._end = loop.call_later(seconds, self._transport.abort)


def _is_expected(request: h11.Request) -> bool:
    """Return whether the server can do what the client expects of it, if that is anything."""
    return all(
        value.lower() in (b"", b"100-continue")
        for name, value in request.headers
        if name == b"expect"
    )


_PLAIN = [("Content-Type", "text/plain; charset=utf-8")]
_BAD_REQUEST = Response(400, _PLAIN, b"400 Bad Request", closes=True)
_NOT_EXPECTED = Response(417, [], b"", closes=True)
_GOING = Response(
    503,
    [("Content-Type", "*")],
    b'{"code":14,"message":"the server is shutting down"}',
    closes=True,
)
_FAILED = Response(500, _PLAIN, b"500 Internal Server Error", closes=True)
