"""Runs a server until a signal stops it.

SIGTERM and Ctrl-C drain it: polls end, commits finish, leases are given back. A second one ends the process at once.
"""

import asyncio
import signal
import socket
from collections.abc import Callable
from contextlib import closing

from perdure import __version__, logging
from perdure.cli.flags import Refused
from perdure.server import Server, StartupError
from perdure.settings import Settings, without_password

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def serve(settings: Settings, *, shows_http: bool) -> int:
    """Run a server; return the exit code when it has stopped. Raises `Refused` if it cannot start."""
    _check_ports(settings)
    logging.configure(settings.log.format, settings.log.level)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(settings, shows_http))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # uvloop does not exist for every platform.
        return asyncio.new_event_loop
    return uvloop.new_event_loop


async def _serve(settings: Settings, shows_http: bool) -> int:
    stop_requested = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stop_requested.set()
        for number in STOP_SIGNALS:  # The next signal has its usual effect.
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    server = Server(settings)
    starting = loop.create_task(server.start())
    stopping = loop.create_task(stop_requested.wait())
    # The start may take long, for example while another node holds the lease.
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        try:
            starting.result()
        except StartupError as error:
            raise Refused(str(error)) from error
        print(banner(server, settings, shows_http), flush=True)
        await stopping
    else:
        starting.cancel()
        await asyncio.wait((starting,))
    await server.stop(settings.server.drain_seconds)
    return 0


def _check_ports(settings: Settings) -> None:
    """Refuse a port that is in use, before all else. The server may still find it taken later."""
    server = settings.server
    metrics_ip = server.metrics_ip or server.ip
    for what, ip, port in (
        ("frontend port", server.ip, server.port),
        ("frontend HTTP port", server.ip, server.http_port),
        ("metrics port", metrics_ip, server.metrics_port),
    ):
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                ip, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            with closing(socket.socket(family, kind, protocol)) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as error:
            raise Refused(f"can't set {what} {port}: {ip}: {error.strerror}") from error


def banner(server: Server, settings: Settings, shows_http: bool) -> str:
    """Say where the server listens, in the shape that users of the official CLI know."""
    url = settings.store.url
    is_in_memory = url.startswith("sqlite::memory:")
    kept = "in-memory" if is_in_memory else without_password(url).removeprefix("sqlite:///")
    lines = [("Server:", _friendly(*server.address)), ("Persistence:", kept)]
    if shows_http and server.http_address:
        lines.append(("HTTP:", _friendly(*server.http_address)))
    if server.metrics_address:
        lines.append(("Metrics:", f"http://{_friendly(*server.metrics_address)}/metrics"))
    return "\n".join(
        [f"perdure {__version__}", "", *(f"{name:<21} {value}" for name, value in lines)]
    )


def _friendly(ip: str, port: int) -> str:
    if ip in ("127.0.0.1", "::1"):
        return f"localhost:{port}"
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
