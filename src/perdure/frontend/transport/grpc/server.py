"""The port: it listens, and stops so that no call is lost."""

import asyncio
import ssl

from perdure.frontend.transport.grpc.methods import Methods
from perdure.frontend.transport.grpc.socket import Socket

#: How often connections are looked at.
LOOK_S = 5.0
#: From the first word of a stop to the last: calls that clients have sent meanwhile arrive, and are answered.
LAST_WORD_S = 0.1
#: How long a client may take to read the last answers of a server that stops.
CLOSE_S = 1.0
_TLS_HANDSHAKE_S = 10.0
_BACKLOG = 1024


class CannotListen(Exception):
    """The address is in use, or not ours."""


class GrpcServer:
    def __init__(self, methods: Methods, tls: ssl.SSLContext | None = None) -> None:
        self._methods, self._tls = methods, tls
        self._sockets: set[Socket] = set()
        self._server: asyncio.Server | None = None
        self._looking: asyncio.TimerHandle | None = None

    async def start(self, ip: str, port: int) -> int:
        """Listen; return the port. Raises `CannotListen`."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: Socket(self._methods, self._sockets),
                ip or None,
                port,
                ssl=self._tls,
                ssl_handshake_timeout=_TLS_HANDSHAKE_S if self._tls is not None else None,
                backlog=_BACKLOG,
            )
        except OSError as error:
            host = f"[{ip}]" if ":" in ip else ip
            raise CannotListen(f"cannot listen on {host}:{port}") from error
        self._looking = loop.call_later(LOOK_S, self._look)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    def _look(self) -> None:
        self._looking = asyncio.get_running_loop().call_later(LOOK_S, self._look)
        for socket in list(self._sockets):
            socket.look()

    def drain(self) -> None:
        """Take no new connections, report no health, and tell clients to go elsewhere with their next calls."""
        self._methods.health.drain()
        if self._server is not None:
            self._server.close()
            self._server = None
        for socket in list(self._sockets):
            socket.go_away(is_last_word=False)

    async def stop(self, grace_s: float) -> None:
        """Wait for the calls under way, for up to `grace_s`, and close the connections."""
        self.drain()
        if self._looking is not None:
            self._looking.cancel()
        loop = asyncio.get_running_loop()
        until = loop.time() + grace_s
        if self._sockets:
            await asyncio.sleep(min(LAST_WORD_S, grace_s))
        for socket in list(self._sockets):
            socket.go_away(is_last_word=True)
        finishing = [loop.create_task(socket.finish()) for socket in self._sockets]
        if finishing:
            _, late = await asyncio.wait(finishing, timeout=max(0.0, until - loop.time()))
            for each in late:
                each.cancel()
        for socket in list(self._sockets):
            socket.close()
        closing = loop.time() + min(CLOSE_S, grace_s)
        while self._sockets and loop.time() < closing:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for socket in list(self._sockets):
            socket.abort()
