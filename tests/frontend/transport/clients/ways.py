"""Ways to a server: plain, over TLS, with the client's certificate, and through proxies. Processes of their own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.ports import free_port

ROOT = Path(__file__).parents[4]
PATIENCE_S = 60


class Way(Enum):
    PLAIN = "plain"
    TLS = "TLS"
    MTLS = "mTLS"
    NGINX = "nginx"
    HAPROXY = "haproxy"


class Certificates(NamedTuple):
    """Files: the authority's certificate, and those of the server and of a client."""

    ca: Path
    server: tuple[Path, Path]
    client: tuple[Path, Path]


def make_certificates(place: Path) -> Certificates:
    """Make an authority, and what it has signed: for `localhost` and 127.0.0.1."""
    need("openssl")
    ca, ca_key = place / "ca.pem", place / "ca.key"
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *new_key, "-keyout", ca_key, "-out", ca, "-subj", "/CN=authority")

    def signed(name: str) -> tuple[Path, Path]:
        certificate, key = place / f"{name}.pem", place / f"{name}.key"
        request, more = place / f"{name}.csr", place / f"{name}.cnf"
        more.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl("req", *new_key, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        by = ["-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-extfile", more]
        openssl("x509", "-req", "-in", request, "-out", certificate, *by)
        return certificate, key

    return Certificates(ca, signed("server"), signed("client"))


def openssl(*arguments: str | Path) -> None:
    done = subprocess.run(
        ["openssl", *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr


def need(tool: str) -> None:
    """Skip a test without this tool; a machine that tests for everybody must have it."""
    if shutil.which(tool) is None:
        if os.environ.get("CI"):
            pytest.fail(f"{tool} is missing: .ci/run installs what lacks")
        pytest.skip(f"{tool} is missing")


@contextmanager
def serving_process(way: Way, certificates: Certificates) -> Iterator[int]:
    """Serve with `echo_server`; yield its port, or that of the proxy in front of it."""
    tls: list[str] = []
    if way in (Way.TLS, Way.MTLS):
        ca = str(certificates.ca) if way is Way.MTLS else ""
        tls = [*map(str, certificates.server), ca]
    with ExitStack() as stack:
        process, port = stack.enter_context(echo_process(*tls))
        assert process.poll() is None
        if way in (Way.NGINX, Way.HAPROXY):
            port = stack.enter_context(_PROXIES[way](port, certificates.ca.parent))
        yield port


@contextmanager
def echo_process(*tls: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start an echo server; yield it and its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.frontend.transport.echo_server", *tls],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        watchdog = threading.Timer(PATIENCE_S, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
        finally:
            watchdog.cancel()
        try:
            yield process, port
        finally:
            process.kill()


_NGINX = """
daemon off; master_process off; pid nginx.pid; error_log stderr warn; worker_rlimit_nofile 20000;
events {{ worker_connections 8192; }}
http {{
  access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  upstream perdure {{ server 127.0.0.1:{to}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port} http2; http2_max_concurrent_streams 4096; keepalive_requests 1000000;
    client_max_body_size 16m; client_body_buffer_size 8m; grpc_buffer_size 64k; grpc_read_timeout 120s;
    location / {{ grpc_pass grpc://perdure; }}
  }}
}}
"""

_HAPROXY = """
global
  maxconn 4000
  tune.h2.max-concurrent-streams 4096
defaults
  mode http
  timeout connect 10s
  timeout client 120s
  timeout server 120s
frontend clients
  bind 127.0.0.1:{port} proto h2
  default_backend servers
backend servers
  server perdure 127.0.0.1:{to} proto h2
"""


@contextmanager
def _nginx(to: int, place: Path) -> Iterator[int]:
    need("nginx")
    port = free_port()
    folder = place / f"nginx-{port}"
    folder.mkdir()
    (folder / "nginx.conf").write_text(_NGINX.format(to=to, port=port))
    command = ["nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"]
    with _process(command, port):
        yield port


@contextmanager
def _haproxy(to: int, place: Path) -> Iterator[int]:
    need("haproxy")
    port = free_port()
    file = place / f"haproxy-{port}.cfg"
    file.write_text(_HAPROXY.format(to=to, port=port))
    with _process(["haproxy", "-f", str(file), "-db"], port):
        yield port


_PROXIES = {Way.NGINX: _nginx, Way.HAPROXY: _haproxy}


@contextmanager
def _process(command: list[str], port: int) -> Iterator[None]:
    """Run a proxy, once it listens."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            _until_listening(port)
            assert process.poll() is None
            yield
        finally:
            process.send_signal(signal.SIGTERM)


def _until_listening(port: int) -> None:
    for pause_s in (0.05,) * int(PATIENCE_S / 0.05):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(pause_s)
    raise AssertionError(f"nobody listens on {port}")
