"""Whom a server tells how a workflow has ended: a small HTTP server that answers as the path asks, and writes down what came.

It reads no more of HTTP than the two servers send: a body with its length, or in chunks.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

#: Headers that differ from client to client.
_OF_THE_CLIENT = {
    "accept-encoding",
    "connection",
    "content-length",
    "host",
    "referer",
    "transfer-encoding",
}


class Receiver:
    """Answers `/NAME/STATUS[/STATUS …]`: each request to it gets the next status, the last one for ever."""

    def __init__(self) -> None:
        self.port = 0
        self._requests: dict[str, list[dict[str, Any]]] = {}
        self._arrived = asyncio.Condition()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    async def received(self, path: str, count: int = 1) -> list[dict[str, Any]]:
        """Return what came to `path`, once there are as many requests."""
        async with self._arrived:
            await asyncio.wait_for(
                self._arrived.wait_for(lambda: len(self._requests.get(path, ())) >= count), 60
            )
        return self._requests[path]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                method, target, _ = line.decode().split(" ")
                path = target.removeprefix("/").partition("?")[0]
                headers = await _headers(reader)
                body = await _body(reader, headers)
                requests = self._requests.setdefault(path, [])
                requests.append(_shown(method, headers, body))
                writer.write(_answer(path, len(requests)))
                await writer.drain()
                async with self._arrived:
                    self._arrived.notify_all()
                if headers.get("connection") == "close":
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # The other side has gone.
        finally:
            writer.close()


async def _headers(reader: asyncio.StreamReader) -> dict[str, str]:
    found: dict[str, str] = {}
    while line := (await reader.readline()).decode().strip():
        name, _, value = line.partition(":")
        found[name.lower()] = value.strip()
    return found


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


def _shown(method: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    shown = {name: value for name, value in sorted(headers.items()) if name not in _OF_THE_CLIENT}
    if "nexus-operation-start-time" in shown:
        assert shown["nexus-operation-start-time"].endswith(" GMT")
        shown["nexus-operation-start-time"] = "<HTTP date>"
    text = body.decode(errors="replace")
    try:
        content: Any = json.loads(text)
    except ValueError:
        content = text
    return {"method": method, "headers": shown, "body": content}


def _answer(path: str, number: int) -> bytes:
    name, *statuses = path.split("/")
    statuses = statuses or ["200"]
    status = statuses[min(number, len(statuses)) - 1]
    where = f"Location: /{name}-redirected\r\n" if status.startswith("3") else ""
    return f"HTTP/1.1 {status} Said\r\n{where}Content-Length: 0\r\n\r\n".encode()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()


def callbacks(*urls: str, **nexus: Any) -> list[dict[str, Any]]:
    """Return completion callbacks in the JSON form of the API."""
    return [{"nexus": {"url": url} | nexus} for url in urls]


def states(described: Any) -> Iterable[int]:
    return [callback.state for callback in described.callbacks]
