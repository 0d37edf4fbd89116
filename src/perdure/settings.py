"""The settings of a server: one `Settings`, from a TOML file, the environment or the flags of `server start-dev`.

Every key of the file is also an environment variable, PERDURE_SECTION_KEY, which wins over the file. Nobody reads the
environment but this module, and nothing here opens a database or a socket. The `#:` line above a key is its
documentation: `docs/operations.md` is tested to hold it.

Dynamic configuration is a table of its own, under the names that Temporal gives its keys, so that what an SDK or a
script passes with `--dynamic-config-value` means the same here.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin, get_type_hints
from urllib.parse import urlsplit

import msgspec

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
LogFormat = Literal["pretty", "text", "json"]
LogLevel = Literal["debug", "info", "warn", "error", "never"]
SearchAttributeType = Literal["Text", "Keyword", "Int", "Double", "Bool", "Datetime", "KeywordList"]


class SettingsError(Exception):
    """A setting is unknown or has a value that cannot be used. The text is one line and names the key."""


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the server listens, and how it stops."""

    #: Address to listen on for gRPC and HTTP.
    ip: str = "127.0.0.1"
    #: Port of the gRPC API. 0 picks a free one.
    port: Port = 7233
    #: Port of the HTTP API. 0 picks a free one.
    http_port: Port = 7243
    #: Address to listen on for metrics. Empty: the same as `ip`.
    metrics_ip: str = ""
    #: Port of the metrics page, `/metrics`. 0 picks a free one.
    metrics_port: Port = 9233
    #: How long a stopping server waits for calls under way.
    drain_seconds: Annotated[float, msgspec.Meta(ge=0)] = 10.0
    #: A file with the certificate (PEM) of gRPC and HTTP. Empty: no TLS.
    tls_certificate: str = ""
    #: The file with the key of the certificate.
    tls_key: str = ""
    #: A file of authorities (PEM). Clients must show a certificate that one of them has signed. Empty: they need none.
    tls_client_ca: str = ""

    def __post_init__(self) -> None:
        if bool(self.tls_certificate) != bool(self.tls_key):
            missing = "tls_key" if self.tls_certificate else "tls_certificate"
            raise ValueError(f"{missing}: a certificate and its key go together")
        if self.tls_client_ca and not self.tls_certificate:
            raise ValueError("tls_certificate: missing, but tls_client_ca is set")


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where everything is kept."""

    #: `sqlite:///FILE`, `sqlite::memory:` or `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`.
    url: str = ""
    #: A second database, for visibility alone, which then follows the main one. Empty: visibility is in the main one.
    visibility_url: str = ""
    #: SQLite only: pragmas to run on every connection, as strings.
    sqlite_pragmas: dict[str, str] = {}
    #: PostgreSQL only: how many connections to hold at most, beside the one that renews leases.
    pool_size: Annotated[int, msgspec.Meta(ge=2, le=1000)] = 8

    def __post_init__(self) -> None:
        _check_url("url", self.url)
        if self.visibility_url:
            _check_url("visibility_url", self.visibility_url)
            if self.visibility_url == self.url and self.url != "sqlite::memory:":
                raise ValueError("visibility_url: it is the same database as url")


def _check_url(key: str, url: str) -> None:
    if not re.match(r"sqlite:///.|sqlite::memory:$|postgres(ql)?://.", url):
        said = repr(without_password(url)) if url else "nothing"
        raise ValueError(
            f"{key}: expected sqlite:///FILE, sqlite::memory: or postgresql://HOST/DATABASE, got {said}"
        )


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The level and format of the log, which goes to standard error."""

    #: `pretty` for people, `text` (key=value) or `json` for programs.
    format: LogFormat = "text"
    #: The least level that is logged; `never` logs nothing.
    level: LogLevel = "info"


class ClusterSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The name of the cluster."""

    #: Name of the cluster, as clients see it.
    name: Annotated[str, msgspec.Meta(min_length=1)] = "active"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set."""

    server: ServerSettings = ServerSettings()
    store: StoreSettings
    log: LogSettings = LogSettings()
    cluster: ClusterSettings = ClusterSettings()
    #: Namespaces to create at start if they are not there.
    namespaces: tuple[Annotated[str, msgspec.Meta(min_length=1)], ...] = ("default",)
    #: How long the namespaces created at start keep closed workflows.
    namespace_retention_days: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    #: Custom search attributes of the namespaces created at start: a name and its type.
    search_attributes: dict[str, SearchAttributeType] = {}
    #: Temporal's dynamic configuration: keys as Temporal names them. A key without effect is logged.
    dynamic_config: dict[str, Any] = {}
    #: A file of dynamic configuration, YAML in Temporal's format. Its values win over the table above.
    dynamic_config_file: str = ""
    #: How often to look whether that file has changed.
    dynamic_config_poll_seconds: Annotated[float, msgspec.Meta(gt=0)] = 10.0

    def to_toml(self) -> str:
        """Return a file that says the same, but for passwords."""
        return "".join(f"{line}\n" for line in _toml_lines(msgspec.to_builtins(self)))


def load(path: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the file, if any, then the environment over it. Raises `SettingsError`."""
    table = _read(path) if path else {}
    for keys, value in _from_environment(environment):
        place = table
        for key in keys[:-1]:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise SettingsError(f"{path}: {key}: expected a table")
        place[keys[-1]] = value
    table.setdefault("store", {})  # So that a missing url is refused by its own name.
    try:
        return msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        where = f"{path}: " if path else ""
        raise SettingsError(where + _one_line(str(error))) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not a TOML file: {error}") from error


def _one_line(message: str) -> str:
    """Turn msgspec's "… - at `$.server.port`" into "server.port: …"."""
    what, _, where = message.partition(" - at `$")
    key = where.rstrip("`").lstrip(".")
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", what):
        return f"unknown key: {key}.{unknown[1]}" if key else f"unknown key: {unknown[1]}"
    what = what.replace("`", "")
    if found := re.match(r"(\w+): (.*)", what):  # Raised by a section about one of its keys.
        return f"{key}.{found[1]}: {found[2]}"
    return f"{key}: {what[:1].lower()}{what[1:]}"


# The environment

#: Kubernetes puts such variables into every pod beside a Service of the name perdure, or perdure-server, …
_SERVICE_LINK = re.compile(r".*(_SERVICE_HOST|_SERVICE_PORT(_.*)?|_PORT_\d+_(TCP|UDP)(_.*)?)")


def variables() -> dict[str, tuple[tuple[str, ...], Any]]:
    """Return every variable that is read: its name, the keys that lead to the setting, and the setting's type."""
    found: dict[str, tuple[tuple[str, ...], Any]] = {}
    for name, kind in get_type_hints(Settings, include_extras=True).items():
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            for key, key_kind in get_type_hints(kind, include_extras=True).items():
                found[f"PERDURE_{name}_{key}".upper()] = ((name, key), key_kind)
        else:
            found[f"PERDURE_{name}".upper()] = ((name,), kind)
    return found


def _from_environment(environment: Mapping[str, str]) -> Iterator[tuple[tuple[str, ...], Any]]:
    known = variables()
    for name, text in environment.items():
        if not name.startswith("PERDURE_") or _SERVICE_LINK.fullmatch(name):
            continue
        if name.endswith("_PORT") and text.startswith(("tcp://", "udp://")):
            continue  # A service link too.
        if name not in known:
            raise SettingsError(f"unknown environment variable: {name}")
        keys, kind = known[name]
        try:
            yield keys, _parse(text, kind)
        except (ValueError, msgspec.ValidationError) as error:
            raise SettingsError(f"{name}: {_one_line(str(error)).removeprefix(': ')}") from error


def _parse(text: str, kind: Any) -> Any:
    """Read a list as a,b,c; a table as JSON; anything else as it would stand in the file, without quotes."""
    if get_origin(kind) is tuple:
        value: Any = [item.strip() for item in text.split(",") if item.strip()]
    elif get_origin(kind) is dict:
        value = msgspec.json.decode(text)
    else:
        value = text
    # Back to what a TOML file holds: the whole is converted once more.
    return msgspec.to_builtins(msgspec.convert(value, kind, strict=False))


# As a file

_SECRET = "***"


def without_password(url: str) -> str:
    """Return `url` fit to be shown."""
    try:
        password = urlsplit(url).password
    except ValueError:
        return _SECRET
    return url.replace(f":{password}@", f":{_SECRET}@") if password else url


def _toml_lines(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Plain values first, then the tables: TOML gives what follows a header to it."""
    for key, value in table.items():
        if not isinstance(value, Mapping):
            text = without_password(value) if key.endswith("url") else value
            yield f"{_toml_key(key)} = {json.dumps(text)}"
    for key, value in table.items():
        if isinstance(value, Mapping) and (value or not prefix):
            yield f"\n[{prefix}{_toml_key(key)}]"
            yield from _toml_lines(value, f"{prefix}{_toml_key(key)}.")


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)
