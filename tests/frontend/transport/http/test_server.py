"""Connections to the HTTP API: what is kept, what is cut, and what becomes of calls whose client or server goes away."""

import asyncio
import json
import re
import select
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perdure.frontend.transport.http.api import HttpRequest, Response
from perdure.frontend.transport.http.server import HttpServer
from tests.frontend.transport.http.client import PATIENCE_S, Client
from tests.frontend.transport.http.table import NAMESPACE, TYPED, WORKFLOWS
from tests.perdure_server import PerdureServer

HOSTED = b"Host: here\r\n\r\n"
GET = b"GET /system-info HTTP/1.1\r\n" + HOSTED


class Raw:
    """A socket, to send what no client would."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self._file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def status(self) -> int:
        """Read one response; return its status."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self._file.readline()
            assert line, f"closed after {head!r}"
            head += line
        length = re.search(rb"(?i)content-length: (\d+)", head)
        self._file.read(int(length[1]) if length else 0)
        return int(head.split()[1])

    def is_closed(self) -> bool:
        return self._file.read(1) == b""

    def close(self) -> None:
        self._file.close()
        self.socket.close()


@pytest.fixture
def raw(perdure: PerdureServer) -> Iterator[Raw]:
    raw = Raw(perdure.http_port)
    yield raw
    raw.close()


def test_a_connection_is_kept(raw: Raw) -> None:
    for _ in range(3):
        raw.send(GET)
        assert raw.status() == 200


def test_requests_may_come_all_at_once(raw: Raw) -> None:
    raw.send(GET * 50)
    assert [raw.status() for _ in range(50)] == [200] * 50


def test_a_request_may_come_byte_by_byte(raw: Raw) -> None:
    for byte in GET:
        raw.send(bytes([byte]))
    assert raw.status() == 200


def test_chunks(raw: Raw) -> None:
    head = f"POST {WORKFLOWS}/chunks HTTP/1.1\r\nTransfer-Encoding: chunked\r\n".encode()
    body = json.dumps(TYPED).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (1, body[n : n + 1]) for n in range(len(body)))
    raw.send(head + HOSTED + chunks + b"0\r\n\r\n")
    assert raw.status() == 200


def test_a_client_that_waits_is_told_to_go_on(raw: Raw) -> None:
    head = f"POST {WORKFLOWS}/nosuch/signal/s HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"
    raw.send(head.encode() + HOSTED)
    assert raw.status() == 100
    raw.send(b"{}")
    assert raw.status() == 404


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET /system-info HTTP/1.1\r\n\r\n", 400),
        (b"GET nothing HTTP/1.1\r\n" + HOSTED, 400),
        (b"GET /%ff HTTP/1.1\r\n" + HOSTED, 400),
        (b"POST /x HTTP/1.1\r\nContent-Length: -1\r\n" + HOSTED, 400),
        (b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HOSTED + b"zz\r\n", 400),
        (b"GET /" + b"x" * (2 * 1024 * 1024), 431),
        (b"GET /system-info HTTP/1.0\r\n\r\n", 200),
        (b"GET /system-info HTTP/1.1\r\nConnection: close\r\n" + HOSTED, 200),
    ],
)
def test_answered_and_closed(raw: Raw, sent: bytes, status: int) -> None:
    raw.send(sent)
    assert raw.status() == status
    assert raw.is_closed()


def test_the_name_of_the_server_itself(raw: Raw) -> None:
    raw.send(b"OPTIONS * HTTP/1.1\r\n" + HOSTED)
    assert raw.status() == 200


def test_a_body_that_does_not_end_is_cut_off(raw: Raw) -> None:
    raw.send(f"POST {WORKFLOWS}/x HTTP/1.1\r\nContent-Length: 99999999\r\n".encode() + HOSTED)
    chunk = b" " * 65536
    for _ in range(4 * 1024 * 1024 // len(chunk)):
        raw.send(chunk)
    raw.send(b" ")
    assert raw.status() == 400


def waits_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def counted(perdure: PerdureServer, metric: str) -> float:
    """Return the sum of a metric, which is a pattern, over all namespaces."""
    page = Client(perdure.metrics_port).get("/metrics").body.decode()
    return sum(map(float, re.findall(rf"{metric}[^}}]*}} (\S+)", page)))


def long_polls(perdure: PerdureServer) -> float:
    """Return how many calls that may be long polls were begun."""
    return counted(perdure, 'http_service_requests{[^}]*GetWorkflowExecutionHistory"')


def cancelled_polls(perdure: PerdureServer) -> float:
    """Return how many of them were given up by their clients."""
    error = "serviceerror_Cancelled"
    return counted(
        perdure, f'service_error_with_type{{[^}}]*{error}[^}}]*"GetWorkflowExecutionHistory"'
    )


def long_poll(workflow_id: str) -> bytes:
    path = f"{WORKFLOWS}/{workflow_id}/history?waitNewEvent=true&historyEventFilterType=2"
    return f"GET {path} HTTP/1.1\r\n".encode() + HOSTED


def test_a_client_that_goes_away_takes_its_call_along(
    perdure: PerdureServer, client: Client, raw: Raw
) -> None:
    left = f"left-{uuid.uuid4().hex}"
    assert client.post(f"{WORKFLOWS}/{left}", TYPED).status == 200
    before, cancelled = long_polls(perdure), cancelled_polls(perdure)
    raw.send(long_poll(left))
    waits_for(lambda: long_polls(perdure) == before + 1)
    raw.close()
    waits_for(lambda: cancelled_polls(perdure) == cancelled + 1)


def test_a_long_poll_is_answered_when_something_happens(client: Client, raw: Raw) -> None:
    assert client.post(f"{WORKFLOWS}/polled", TYPED).status == 200
    raw.send(long_poll("polled"))
    assert client.post(f"{WORKFLOWS}/polled/terminate", {}).status == 200
    assert raw.status() == 200


def test_a_deadline_is_kept(client: Client) -> None:
    assert client.post(f"{WORKFLOWS}/late", TYPED).status == 200
    answer = client.post(f"{WORKFLOWS}/late/query/q", {}, **{"Grpc-Timeout": "100m"})
    assert answer.status == 504
    assert answer.json["code"] == 4


def test_what_is_not_there_is_refused_by_name(client: Client) -> None:
    answer = client.get(f"{NAMESPACE}/worker-task-reachability")
    assert answer.status == 501
    assert answer.json["code"] == 12
    assert "GetWorkerTaskReachability" in answer.json["message"]


def test_a_payload_that_is_not_what_it_says_is_shown_in_full(client: Client) -> None:
    """The real server cannot answer then."""
    broken = {"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "e30x"}
    assert client.post(f"{WORKFLOWS}/broken", {**TYPED, "input": [broken]}).status == 200
    answer = client.get(f"{WORKFLOWS}/broken/history")
    assert answer.status == 200
    event = answer.json["history"]["events"][0]
    assert event["workflowExecutionStartedEventAttributes"]["input"] == {"payloads": [broken]}


def test_others_are_answered_while_much_is_read(client: Client, perdure: PerdureServer) -> None:
    """A body that takes seconds to read and to write again, in the most wasteful form there is."""
    other = Client(perdure.http_port)
    body = b'{"input":[' + b"[1]," * 100_000 + b"1]}"
    client.connection.request("POST", f"{WORKFLOWS}/much", body)
    answered = 0
    while not select.select([client.connection.sock], [], [], 0)[0]:
        assert other.get("/system-info").status == 200
        answered += 1
    assert client.connection.getresponse().status == 400
    assert answered > 1
    other.close()


def test_calls_are_counted(perdure: PerdureServer, client: Client) -> None:
    client.get("/api/v1/cluster-info")
    page = Client(perdure.metrics_port).get("/metrics").body.decode()
    assert re.search(r"http_service_requests{[^}]*WorkflowService/GetClusterInfo[^}]*} \d", page)


async def test_what_is_not_answered_in_time_is_refused_at_the_end() -> None:
    class Silent:
        async def respond(self, request: HttpRequest) -> Response:
            await asyncio.Event().wait()
            raise AssertionError("it ends")

    server = HttpServer(Silent())  # type: ignore[arg-type]
    port = await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET)
    async with asyncio.timeout(PATIENCE_S):
        while not any(each.call for each in server.connections):  # noqa: ASYNC110
            await asyncio.sleep(0)
    await server.stop(0)
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'{"code":14,' in answer
    writer.close()


def test_a_stopping_server_answers_what_is_under_way(tmp_path: Path) -> None:
    server = PerdureServer(tmp_path, None)
    server.start()
    client = Client(server.http_port)
    assert client.post(f"{WORKFLOWS}/w", TYPED).status == 200
    idle, polling = Raw(server.http_port), Raw(server.http_port)
    idle.send(GET)
    assert idle.status() == 200
    polling.send(long_poll("w").replace(HOSTED, b"Grpc-Timeout: 60S\r\n" + HOSTED))
    waits_for(lambda: long_polls(server) == 1)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    assert polling.status() == 503
    assert polling.is_closed()
    assert idle.is_closed()
    stopping.join(PATIENCE_S)
    for each in (idle, polling, client):
        each.close()
    assert not stopping.is_alive()
