"""Which versions of clients and of this server work with one another."""

from collections.abc import Callable
from functools import lru_cache

from temporalio.api.errordetails.v1 import (
    ClientVersionNotSupportedFailure,
    ServerVersionNotSupportedFailure,
)

from perdure.core.errors import Code, Rejected, invalid_argument
from perdure.frontend.call import Call

#: This server behaves as that version of the real server. Clients compare it with the version that they need.
SERVER_VERSION = "1.32.0"
#: Client name → the versions of it that speak this API.
SUPPORTED_CLIENTS = {
    "temporal-cli": "<2.0.0",
    "temporal-go": "<2.0.0",
    "temporal-java": "<2.0.0",
    "temporal-php": "<2.0.0",
    "temporal-server": "<2.0.0",
    "temporal-typescript": "<2.0.0",
    "temporal-ui": "<3.0.0",
    "Nexus-go-sdk": "<2.0.0",
}
_OPERATORS = (">=", "<=", "!=", ">", "<", "=")


def check_versions(call: Call, check_namespace: Callable[[str], object], namespace: str) -> None:
    """Refuse a client if its version, or the server version that it needs, does not fit.

    Temporal: a namespace that does not exist is refused first.
    """
    name = call.metadata.get("client-name", "")
    version = call.metadata.get("client-version", "")
    wanted = call.metadata.get("supported-server-versions", "")
    if name or wanted:
        refusal = _version_refusal(name, version, wanted)
        if refusal is not None:
            check_namespace(namespace)
            raise Rejected(refusal.code, refusal.message, refusal.detail)


@lru_cache(maxsize=256)
def _version_refusal(name: str, version: str, wanted: str) -> Rejected | None:
    supported = SUPPORTED_CLIENTS.get(name)
    if supported is not None and version:
        try:
            fits = _in_range(_numbers(version), supported)
        except ValueError as error:
            return invalid_argument(f"Unable to parse client version: {error}")
        if not fits:
            return Rejected(
                Code.FAILED_PRECONDITION,
                f"Client version {version} is not supported."
                f" Server supports {name} versions: {supported}",
                ClientVersionNotSupportedFailure(
                    client_version=version, client_name=name, supported_versions=supported
                ),
            )
    if wanted:
        try:
            fits = _in_range(_numbers(SERVER_VERSION), wanted)
        except ValueError as error:
            return invalid_argument(f"Unable to parse supported server versions: {error}")
        if not fits:
            return Rejected(
                Code.FAILED_PRECONDITION,
                f"Server version {SERVER_VERSION} is not supported."
                f" Client supports server versions: {wanted}",
                ServerVersionNotSupportedFailure(
                    server_version=SERVER_VERSION, client_supported_server_versions=wanted
                ),
            )
    return None


def _numbers(version: str) -> tuple[int, ...]:
    core = version.split("-", 1)[0].split("+", 1)[0]
    parts = core.split(".")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        raise ValueError("No Major.Minor.Patch elements found")
    return tuple(int(part) for part in parts)


def _in_range(version: tuple[int, ...], ranges: str) -> bool:
    """Return whether `version` fits a range like ">=1.0.0 <2.0.0", or one of several joined by "||"."""
    return any(
        all(_fits(version, part) for part in _joined(alternative))
        for alternative in ranges.split("||")
    )


def _joined(alternative: str) -> list[str]:
    """Split at blanks; an operator may stand by itself."""
    parts: list[str] = []
    for word in alternative.split():
        if parts and parts[-1] in _OPERATORS:
            parts[-1] += word
        else:
            parts.append(word)
    if not parts:
        raise ValueError('Could not get version from string: ""')
    return parts


def _fits(version: tuple[int, ...], part: str) -> bool:
    operator = next((each for each in _OPERATORS if part.startswith(each)), "")
    try:
        bound = _numbers(part.removeprefix(operator))
    except ValueError as error:
        raise ValueError(f'Could not get version from string: "{part}"') from error
    if operator == ">=":
        return version >= bound
    if operator == "<=":
        return version <= bound
    if operator == ">":
        return version > bound
    if operator == "<":
        return version < bound
    return (version != bound) if operator == "!=" else (version == bound)
