"""The real server and perdure answer every call of the table alike: status, content type, body."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.differential.servers import _ready
from tests.frontend.transport.http import odd_values, table
from tests.frontend.transport.http.client import Answer, Client
from tests.frontend.transport.http.table import Case
from tests.perdure_server import PerdureServer
from tests.ports import free_port

CASES = [*table.CASES, *odd_values.CASES]
#: The real server adds to messages where in the text, where in its own sources, and in which state its reader is.
_POSITIONS = (
    (re.compile(r"syntax error \(line \d+:\d+\)"), "syntax error"),
    (re.compile(r"\(line \d+:\d+\): "), ""),
    (re.compile(r" \(in [^)]*\)"), ""),
    (re.compile(r"(illegal base64 data).*"), r"\1"),
    # Which of its parts notices first that time is up.
    (re.compile("query timed out before a worker could process it"), "context deadline exceeded"),
)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
#: Fields that are a server's own, by their JSON names: tokens, sizes, capabilities.
_OWN = (
    *("taskId", "historySizeBytes", "stateTransitionCount", "executionDuration", "nextPageToken"),
    *("capabilities", "supportsSchedules", "requestsPerSecond"),
)
#: The real server's lists show a little later what has happened.
_LATE = ("count", "list")
_LATE_S = 20


@pytest.fixture(scope="module")
def real() -> Iterator[Client]:
    port, http_port = free_port(), free_port()
    binary = shutil.which("temporal", path=str(Path(sys.executable).parent))
    assert binary
    command = [binary, "server", "start-dev", "--headless", "--log-level", "never"]
    command += ["--port", str(port), "--http-port", str(http_port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(port)
        client = Client(http_port)
        yield client
        client.close()
    finally:
        process.terminate()
        process.wait(60)


def _wait(port: int) -> None:
    async def wait() -> None:
        process = await asyncio.create_subprocess_exec("sleep", "60")
        try:
            await _ready(process, f"127.0.0.1:{port}", Path("/dev/null"))
        finally:
            process.kill()
            await process.wait()

    asyncio.run(wait())


@pytest.mark.slow
def test_same(real: Client, perdure: PerdureServer) -> None:
    ours = Client(perdure.http_port)
    mine = _played(ours)
    theirs = _played(real, like=mine)
    ours.close()
    different = [
        f"{case.name}\n      real    {json.dumps(their)}\n      perdure {json.dumps(our)}"
        for case, their, our in zip(CASES, theirs, mine, strict=True)
        if their != our
    ]
    assert not different, f"{len(different)} differ\n  " + "\n  ".join(different)


def _played(client: Client, like: list[Any] | None = None) -> list[Any]:
    """Call everything; lists are given time until they show the same as those that `like` holds."""
    names: dict[str, str] = {}
    outcomes: list[Any] = []
    for number, case in enumerate(CASES):
        until = time.monotonic() + _LATE_S
        while like is not None and case.name in _LATE and time.monotonic() < until:
            if _outcome(case, client, dict(names)) == like[number]:
                break
            time.sleep(0.1)
        outcomes.append(_outcome(case, client, names))
    return outcomes


def _outcome(case: Case, client: Client, names: dict[str, str]) -> Any:
    answer = client.call(case.verb, case.path, case.body, dict(case.headers))
    return {
        "status": answer.status,
        "content type": answer.headers.get("Content-Type"),
        "location": answer.headers.get("Location"),
        "closes": answer.headers.get("Connection"),
        "body": _body(answer, names),
        "pretty": answer.body.count(b"\n") > 1,
    }


def _body(answer: Answer, names: dict[str, str]) -> Any:
    """Return what is left when ids have the names of the order in which they came up, and times none."""
    text = _TIME.sub("<time>", answer.body.decode())
    text = _UUID.sub(lambda found: names.setdefault(found.group(), f"<id {len(names)}>"), text)
    for pattern, instead in _POSITIONS:
        text = pattern.sub(instead, text)
    try:
        # In order, and numbers as they are written.
        pairs = json.loads(text, object_pairs_hook=_without_own, parse_int=_text, parse_float=_text)
    except ValueError:
        return text
    return json.dumps(pairs)


def _text(number: str) -> str:
    return f"number {number}"


def _without_own(pairs: list[tuple[str, Any]]) -> Any:
    return dict(pair for pair in pairs if pair[0] not in _OWN)
