"""Sends one HTTP request and reads the answer. Waits, so it is done in a thread of its own.

The standard library's client does: callbacks are rare, and one thread each costs less than another package.
"""

import asyncio
import http.client
import socket
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from typing import NamedTuple, Protocol

#: Requests under way. Others wait for their turn.
AT_ONCE_MAX = 32
#: The part of an answer about a failure that is read.
ANSWER_BYTES_MAX = 64 * 1024


class HttpResponse(NamedTuple):
    status: int
    reason: str
    content_type: str
    #: The header `Nexus-Request-Retryable`.
    retryable: str
    body: bytes


class PostFailed(Exception):
    """There is no answer. The text says why, in the real server's words where it has any."""


class HttpClient(Protocol):
    """Sends requests."""

    async def post(
        self, url: str, headers: dict[str, str], body: bytes, timeout_s: float
    ) -> HttpResponse:
        """Raise `PostFailed` if there is no answer."""

    def close(self) -> None:
        """Abandon the requests under way."""


class ThreadedHttpClient:
    """Sends over real sockets. There are no threads until something is sent."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None

    async def post(
        self, url: str, headers: dict[str, str], body: bytes, timeout_s: float
    ) -> HttpResponse:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(AT_ONCE_MAX, thread_name_prefix="callback")
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, post, url, headers, body, timeout_s
        )

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)


def _opener() -> urllib.request.OpenerDirector:
    """Temporal: goes where redirects lead, with GET and without a body, as Go's client does; nowhere but by HTTP."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def post(url: str, headers: dict[str, str], body: bytes, timeout_s: float) -> HttpResponse:
    """Raise `PostFailed` if there is no answer. `timeout_s` bounds each wait for the other side."""
    try:
        return _post(url, headers, body, timeout_s)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise PostFailed(_words(error, url)) from error


def _post(url: str, headers: dict[str, str], body: bytes, timeout_s: float) -> HttpResponse:
    request = urllib.request.Request(url, data=body or None, headers=headers, method="POST")
    if body and not request.has_header("Content-type"):
        # Without this urllib would call it a form.
        request.add_unredirected_header("Content-type", "")
    try:
        with _opener().open(request, timeout=timeout_s) as answer:
            return _read(answer.status, answer.reason, answer.headers, b"")
    except urllib.error.HTTPError as error:
        with error:
            body_read = error.read(ANSWER_BYTES_MAX)
            return _read(error.code, error.reason, error.headers, body_read)


def _read(status: int, reason: str, headers: Message, body: bytes) -> HttpResponse:
    return HttpResponse(
        status,
        reason,
        headers.get("content-type", ""),
        headers.get("nexus-request-retryable", ""),
        body,
    )


def _words(error: Exception, url: str) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return "context deadline exceeded"
    if isinstance(cause, ConnectionRefusedError):
        address = urllib.request.Request(url).host
        return f"dial tcp {address}: connect: connection refused"
    if isinstance(cause, http.client.RemoteDisconnected | ConnectionResetError):
        return "EOF"
    if isinstance(cause, socket.gaierror):
        return f"dial tcp: lookup {urllib.request.Request(url).host}: no such host"
    return str(cause)
