"""The headers of a request: checked, and as a call needs them."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType

#: The one header that often differs between two requests: `RequestHead` leaves it out.
TIMEOUT = "grpc-timeout"
#: gRPC's units of a time-out, in seconds.
UNITS_S = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_TIMEOUT_DIGITS_MAX = 8
_PSEUDO = frozenset((":method", ":scheme", ":path", ":authority"))
#: HTTP/1.1's headers about a connection: HTTP/2 has no place for them.
_OF_CONNECTIONS = frozenset(
    ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade")
)
_LETTERS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")
#: Headers that are for the transport, and not for handlers.
_OUR_OWN = frozenset(("te", "content-type", "content-length"))
#: Headers that have one value. Others of gRPC's may come twice, as lists do; the first one counts.
_SINGLE = frozenset(("te", "content-type", "content-length", "grpc-timeout", "grpc-encoding"))
#: How a message is compressed → the argument of `zlib.decompressobj`.
ENCODINGS: Mapping[str, int] = MappingProxyType({"identity": 0, "gzip": 31, "deflate": 15})

Field = tuple[str, str]


class Malformed(Exception):
    """A stream with these headers breaks the rules. The text says what is wrong."""


class RequestHead:
    """The headers of a request. Calls share one, if their headers are the same: nobody changes it."""

    __slots__ = (
        "bytes",
        "content_length",
        "content_type",
        "encoding",
        "metadata",
        "method",
        "path",
    )

    def __init__(self, fields: Iterable[Field]) -> None:
        """Raises `Malformed`."""
        pseudo: dict[str, str] = {}
        own: dict[str, str] = {}
        metadata: dict[str, str] = {}
        repeated: dict[str, list[str]] = {}
        for name, value in fields:
            if name[:1] == ":":
                if name not in _PSEUDO or name in pseudo or metadata or own:
                    raise Malformed(f"pseudo header {name}")
                _check_value(name, value)
                pseudo[name] = value
                continue
            _check(name, value)
            if name in _OUR_OWN or name.startswith("grpc-"):
                if own.setdefault(name, value) != value and name in _SINGLE:
                    raise Malformed(f"two values of {name}")
            elif name in metadata:
                repeated.setdefault(name, [metadata[name]]).append(value)
            else:
                metadata[name] = value
        for name, values in repeated.items():
            metadata[name] = ",".join(values)
        self._begin(pseudo, own)
        #: Headers by lower-case name, without those of HTTP and gRPC themselves. A name that comes twice has its values
        #: in one, with a comma between. Binary ones (`-bin`) are text still.
        self.metadata: Mapping[str, str] = metadata
        self.bytes = sum(len(name) + len(value) for name, value in metadata.items())

    def _begin(self, pseudo: Mapping[str, str], own: Mapping[str, str]) -> None:
        self.method, self.path = pseudo.get(":method", ""), pseudo.get(":path", "")
        if not self.method or not self.path or not pseudo.get(":scheme"):
            raise Malformed("pseudo headers are missing")
        if own.get("te", "trailers") != "trailers":
            raise Malformed("te")
        self.content_type = own.get("content-type", "")
        #: How many bytes the body has; None if the client does not say.
        self.content_length = _length(own.get("content-length"))
        #: A name of `ENCODINGS`, or one that we do not know.
        self.encoding = own.get("grpc-encoding", "identity")

    @property
    def is_grpc(self) -> bool:
        kind = self.content_type
        return kind == "application/grpc" or kind.startswith(
            ("application/grpc+", "application/grpc;")
        )


def check_trailers(fields: Iterable[Field]) -> None:
    """Check the headers that end a request. Raises `Malformed`."""
    for name, value in fields:
        _check(name, value)


def _check(name: str, value: str) -> None:
    if name in _OF_CONNECTIONS:
        raise Malformed(f"header {name}")
    if not name or not _LETTERS.issuperset(name):
        raise Malformed("the name of a header")
    _check_value(name, value)


def _check_value(name: str, value: str) -> None:
    if value.isprintable() and value.isascii() and value[:1] != " " and value[-1:] != " ":
        return
    if "\0" in value or "\r" in value or "\n" in value or value != value.strip(" \t"):
        raise Malformed(f"the value of {name}")


def _length(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit():
        raise Malformed("content-length")
    return int(text)


@lru_cache(256)
def seconds(timeout: str) -> float | None:
    """Return how long the client waits; None if the time-out cannot be read."""
    digits, unit = timeout[:-1], UNITS_S.get(timeout[-1:])
    if (
        unit is None
        or len(digits) > _TIMEOUT_DIGITS_MAX
        or not digits.isascii()
        or not digits.isdigit()
    ):
        return None
    return int(digits) * unit
