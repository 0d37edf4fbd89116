"""Checks of completion callbacks: their count, their size, and their addresses.

A callback makes this server send requests, so an operator lists the allowed addresses (`callback.allowedAddresses`).
By default there are none. Texts are the real server's.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from temporalio.api.common.v1 import Callback

from perdure.core.errors import Code, Rejected, invalid_argument
from perdure.core.limits import Limits

#: Temporal: these lead to the server itself and are always allowed.
OWN_URLS = ("temporal://system", "temporal://internal")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BAD_IN_HOST = re.compile(r"[\s<>\"`{}|\\^/?#]")


def check_callbacks(callbacks: Sequence[Callback], limits: Limits) -> None:
    """Raise `Rejected` if a callback is not allowed. Write the names of their headers in lower case."""
    if len(callbacks) > limits.max_callbacks:
        raise invalid_argument(
            f"cannot attach more than {limits.max_callbacks} callbacks to an execution"
        )
    for callback in callbacks:
        variant = callback.WhichOneof("variant")
        # Temporal: this version cannot invoke a callback that a worker handles.
        if variant in (None, "nexus_handler"):
            raise Rejected(Code.UNIMPLEMENTED, "unknown callback variant: <nil>")
        if variant == "nexus":
            _check_nexus(callback.nexus, limits)


def check_variants(callbacks: Sequence[Callback]) -> None:
    """Temporal: a callback that nobody could invoke is refused after all other checks."""
    for callback in callbacks:
        if callback.WhichOneof("variant") != "nexus":
            raise invalid_argument("unsupported callback variant: *common.Callback_Internal_")


def _check_nexus(nexus: Callback.Nexus, limits: Limits) -> None:
    if len(nexus.url.encode()) > limits.max_callback_url_length:
        raise invalid_argument(
            "invalid url: url length longer than max length allowed of"
            f" {limits.max_callback_url_length}"
        )
    _check_url(nexus.url, limits.callback_addresses)
    size = sum(len(name.encode()) + len(value.encode()) for name, value in nexus.header.items())
    if size > limits.max_callback_header_size:
        raise invalid_argument(
            "invalid header: header size longer than max allowed size of"
            f" {limits.max_callback_header_size}"
        )
    lower = {name.lower(): value for name, value in nexus.header.items()}
    nexus.header.clear()
    nexus.header.update(lower)


def _check_url(url: str, addresses: tuple[tuple[str, bool], ...]) -> None:
    if url in OWN_URLS:
        return
    scheme, host = _parts(url)
    if scheme not in ("http", "https"):
        raise invalid_argument(f"invalid url: unknown scheme: {url}")
    if not host:
        raise invalid_argument("invalid url: missing host")
    shown = scheme + url[len(scheme) :]
    for pattern, allows_insecure in addresses:
        if not _compiled(pattern).fullmatch(host):
            continue
        if scheme != "https" and not allows_insecure:
            raise invalid_argument(
                f"invalid url: callback address does not allow insecure connections: {shown}"
            )
        return
    raise invalid_argument(
        f"invalid url: url does not match any configured callback address: {shown}"
    )


def _parts(url: str) -> tuple[str, str]:
    """Return the scheme and the host (with its port) of a URL. Raises `Rejected` if the text is not a URL."""
    if any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in url):
        raise _unreadable(url, "net/url: invalid control character in URL")
    if url.startswith(":"):
        raise _unreadable(url, "missing protocol scheme")
    match = _SCHEME.match(url)
    scheme, rest = (match[1].lower(), match[2]) if match else ("", url)
    if not scheme or not rest.startswith("//"):
        return scheme, ""
    end = min((at for at in (rest.find(mark, 2) for mark in "/?#") if at >= 0), default=len(rest))
    host = rest[2:end].rpartition("@")[2]
    if host.startswith("[") and "]" not in host:
        raise _unreadable(url, "missing ']' in host")
    bad = _BAD_IN_HOST.search(host)
    if bad:
        raise _unreadable(url, f'invalid character "{bad[0]}" in host name')
    path = rest[end:].partition("?")[0]
    escape = _BAD_ESCAPE.search(host) or _BAD_ESCAPE.search(path)
    if escape:
        wrong = escape.string[escape.start() : escape.start() + 3]
        raise _unreadable(url, f'invalid URL escape "{wrong}"')
    port = host.rpartition("]")[2].partition(":")[2]
    if port and not (port.isascii() and port.isdigit()):
        raise _unreadable(url, f'invalid port ":{port}" after host')
    return scheme, host


def _unreadable(url: str, why: str) -> Rejected:
    return invalid_argument(f'invalid callback url: parse "{url}": {why}')


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern in which `*` stands for any text."""
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")), re.DOTALL)
