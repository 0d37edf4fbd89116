"""Real clients in four languages, over every way to the port: what they ask, they get; and no burst is refused."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from tests.frontend.transport.clients.ways import Way, serving_process
from tests.frontend.transport.echo_server import SERVICE, Echo, serving
from tests.frontend.transport.http2.wire import PREFACE, call, settings, with_
from tests.workers.programs import Program

pytestmark = pytest.mark.slow

HOME = Path(__file__).parent / "clients"
LANGUAGES = ("python", "go", "javascript", "java")
SIZES = "0 1 1000 16379 20000 70000 1000000"
#: Trial → numbers that it needs.
SMALL = {"SIZES": SIZES, "BURST": "200", "POLLS": "300"}
LARGE = {"SIZES": SIZES, "BURST": "4000", "POLLS": "3000"}
TRIALS = "basics refused gzipped largest burst polls cancelled late"
#: Two keepalive pings of the libraries that send one each 10 s at most often would take 20 s; one is enough.
IDLE = {"IDLE_S": "11"}
_PATIENCE_S = 300


def run(language: str, way: Way, certificates, trials: str, numbers) -> list[str]:
    """Run a client's trials with a server of its own; return the lines that it prints."""
    with serving_process(way, certificates) as port:
        return run_at(port, language, way, certificates, {"TRIALS": trials, **numbers})


def run_at(port: int, language: str, way: Way, certificates, numbers) -> list[str]:
    environment = {"ADDRESS": f"localhost:{port}", "PYTHON": sys.executable, **numbers}
    if way in (Way.TLS, Way.MTLS):
        environment["CA"] = str(certificates.ca)
    if way is Way.MTLS:
        certificate, key = certificates.client
        environment |= {"CERTIFICATE": str(certificate), "KEY": str(key)}
    done = subprocess.run(
        [Program(language, "client", HOME).built()],
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    return done.stdout.splitlines()


def all_ok(trials: str) -> list[str]:
    return [f"{trial} ok" for trial in trials.split()]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("way", [Way.PLAIN, Way.TLS])
def test_a_client_gets_what_it_asks(way, language, certificates):
    """4,000 calls at once, 3,000 open polls, 4 MiB both ways, gzip, cancellations, deadlines, refusals."""
    assert run(language, way, certificates, TRIALS, LARGE) == all_ok(TRIALS)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("way", [Way.MTLS, Way.NGINX, Way.HAPROXY])
def test_a_client_with_a_certificate_or_behind_a_proxy_does_too(way, language, certificates):
    assert run(language, way, certificates, TRIALS, SMALL) == all_ok(TRIALS)


def test_clients_keep_a_connection_on_which_nothing_comes_but_pings(certificates):
    """All four wait at the same time, each for its own server."""

    async def idle(language: str) -> list[str]:
        return await asyncio.to_thread(run, language, Way.PLAIN, certificates, "idle", IDLE)

    async def every() -> list[list[str]]:
        return await asyncio.gather(*map(idle, LANGUAGES))

    assert asyncio.run(every()) == [["idle ok"]] * len(LANGUAGES)


def test_a_client_without_a_certificate_is_refused_where_one_is_needed(certificates):
    with serving_process(Way.MTLS, certificates) as port:
        ca = grpc.ssl_channel_credentials(certificates.ca.read_bytes())
        with grpc.secure_channel(f"localhost:{port}", ca) as channel:
            call = channel.unary_unary("/perdure.test.Echo/Echo")
            with pytest.raises(grpc.RpcError) as error:
                call(b"", timeout=10)
    assert error.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_busy_connection_leaves_others_their_share():
    """A client sends 4,000 calls at once, and then another one sends one: it is not the last to be answered."""
    echo = Echo()
    async with serving(echo) as (_, port):
        busy, modest = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for _, writer in (busy, modest):
            writer.write(PREFACE + settings())
        path = (":path", f"{SERVICE}Later")
        burst = [call(2 * each + 1, b"busy", with_(path)) for each in range(4000)]
        busy[1].write(b"".join(burst))
        modest[1].write(call(1, b"modest", with_(path)))
        async with asyncio.timeout(60):
            await modest[0].readuntil(b"modest")
            answered = echo.answered.index(b"modest")
            received = b""
            while received.count(b"busy") < 4000:
                received += await busy[0].read(1 << 20)
        for _, writer in (busy, modest):
            writer.close()
    assert answered < 2000
    assert echo.answered.count(b"busy") == 4000
