"""The headers of an HTTP request as the metadata that a handler sees."""

import re
from collections.abc import Mapping, Sequence

from perdure.core.errors import invalid_argument
from perdure.frontend.client_versions import SERVER_VERSION
from perdure.frontend.transport.http2.request_head import UNITS_S

#: Headers that are passed on under their own names.
_FORWARDED = frozenset({"authorization", "authorization-extras", "client-name", "client-version"})
#: Temporal: headers with a meaning in HTTP are passed on with this prefix.
_PREFIX = "grpcgateway-"
_OF_HTTP = re.compile(
    "accept(-charset|-language|-ranges)?|authorization|cache-control|content-type|cookie|date|expect|from|host"
    "|if-(match|modified-since|none-match|schedule-tag-match|unmodified-since)"
    "|max-forwards|origin|pragma|referer|user-agent|via|warning"
)
_ANY = "grpc-metadata-"


def metadata_of(headers: Sequence[tuple[str, str]], peer_ip: str) -> Mapping[str, str]:
    metadata = {}
    through = []
    for name, value in headers:
        if name == "x-forwarded-for":
            through.append(value)
        if not value.isascii() or not value.isprintable():
            continue
        if name in _FORWARDED:
            metadata[name] = value
        if _OF_HTTP.fullmatch(name):
            metadata[_PREFIX + name] = value
        elif name.startswith(_ANY):
            metadata[name.removeprefix(_ANY)] = value
    given = dict(headers)
    metadata["x-forwarded-host"] = given.get("x-forwarded-host") or given.get("host", "")
    metadata["x-forwarded-for"] = ", ".join([*through, peer_ip])
    metadata.setdefault("client-name", "temporal-server-http")
    metadata.setdefault("client-version", SERVER_VERSION)
    return metadata


def deadline_s(header: str) -> float | None:
    """Return how long the caller waits; None if it does not say. Raises `Rejected`."""
    if not header:
        return None
    found = re.fullmatch(r"(-?\d{1,15})([HMSmun])", header, re.ASCII)
    if not found:
        raise invalid_argument(f"invalid grpc-timeout: {header}")
    return int(found[1]) * UNITS_S[found[2]] or None
