"""Ports for servers that are told where to listen."""

import random
import socket

#: Below what systems give to connections that go out (32768 and up, or 49152 and up). A port from up there may be taken
#: between being found and being listened on, and while a server is down, by whoever tries to connect to it.
_PORTS = range(10_000, 32_000)
_CHOICE = random.SystemRandom()


def free_port() -> int:
    """Return a port of this machine that nobody uses, and that nobody is given by chance."""
    while True:
        port = _CHOICE.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
