"""`perdure server start-dev`: a server for one developer, in memory or in one file.

Flags have the names, short forms, defaults and meanings of `temporal server start-dev`, because SDKs start "a local dev
server from an existing binary" with them. The flags become a `Settings`; nothing else is decided here.
"""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from perdure.cli.flags import Parser, Refused, pairs
from perdure.cli.lean_imports import import_messages_without_sdk

if TYPE_CHECKING:
    from perdure.settings import Settings

DESCRIPTION = """\
Run a development server on your own machine.

    perdure server start-dev

The server keeps workflows in memory, and loses them when it ends. It can keep them in a file:

    perdure server start-dev --db-filename path/to/file.db"""


def add_to(server: Parser) -> None:
    command = server.group("start-dev", "Run a development server")
    command.description = DESCRIPTION
    command.set_defaults(run=run)
    add = command.add_argument
    add(
        "-p",
        "--port",
        type=int,
        default=7233,
        metavar="PORT",
        help="port of the gRPC API (default 7233)",
    )
    add("--ip", default="localhost", help='address to listen on (default "localhost")')
    add(
        "--http-port",
        type=int,
        metavar="PORT",
        default=0,
        help="port of the HTTP API (default: a free one)",
    )
    add(
        "--metrics-port",
        type=int,
        metavar="PORT",
        default=0,
        help="port of /metrics (default: a free one)",
    )
    add("-f", "--db-filename", default="", metavar="FILE", help="store all data in this file")
    repeated: dict[str, Any] = {"action": "append", "default": []}
    add(
        "-n",
        "--namespace",
        **repeated,
        metavar="NAME",
        help='create a namespace besides "default"; may be repeated',
    )
    add(
        "--search-attribute",
        **repeated,
        metavar="NAME=TYPE",
        help="register a search attribute: Text, Keyword, Int, Double, Bool, Datetime or "
        "KeywordList; may be repeated",
    )
    add(
        "--dynamic-config-value",
        **repeated,
        metavar="KEY=VALUE",
        help="set a key of Temporal's dynamic configuration to a JSON value; may be repeated",
    )
    add(
        "--sqlite-pragma",
        **repeated,
        metavar="PRAGMA=VALUE",
        help="run a SQLite pragma on every connection; may be repeated",
    )
    command.add_switch("--log-config", help="print the settings to standard error")
    _add_ui_flags(command)


def _add_ui_flags(command: Parser) -> None:
    """Accept the flags of the Web UI, which SDKs pass. They have no effect while there is no Web UI."""
    note = "no effect: there is no Web UI yet"
    command.add_switch("--headless", help=note)
    command.add_argument("--ui-port", type=int, default=0, metavar="PORT", help=note)
    for name in ("--ui-ip", "--ui-asset-path", "--ui-codec-endpoint", "--ui-public-path"):
        command.add_argument(name, default="", metavar="TEXT", help=note)
    command.add_switch("--ui-disable-news-fetch", help=note)


def run(options: argparse.Namespace) -> int:
    settings = settings_of(options)
    if options.log_config:
        print(settings.to_toml(), end="", file=sys.stderr)
    import_messages_without_sdk()
    from perdure.cli.serving import serve

    return serve(settings, shows_http=options.http_port != 0)


def settings_of(options: argparse.Namespace) -> "Settings":
    """Return what the flags say. Raises `Refused`."""
    import msgspec

    from perdure.settings import Settings

    ip = "127.0.0.1" if options.ip == "localhost" else options.ip
    pragmas = pairs(options.sqlite_pragma, "pragma")
    table = {
        "server": {
            "ip": ip,
            "port": options.port,
            "http_port": options.http_port,
            "metrics_port": options.metrics_port,
        },
        "store": {
            "url": f"sqlite:///{options.db_filename}" if options.db_filename else "sqlite::memory:",
            "sqlite_pragmas": pragmas,
        },
        "log": {
            "format": getattr(options, "log_format", "text"),
            "level": getattr(options, "log_level", "warn"),
        },
        "namespaces": list(dict.fromkeys(["default", *options.namespace])),
        "search_attributes": _search_attributes(options.search_attribute),
        "dynamic_config": _dynamic_config(options.dynamic_config_value),
    }
    for name in ("port", "http_port", "metrics_port", "ui_port"):
        port = getattr(options, name)
        if not 0 <= port <= 65535:
            raise Refused(f"--{name.replace('_', '-')}: {port} is not a port")
    try:
        return msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        raise Refused(str(error)) from error


def _search_attributes(items: list[str]) -> dict[str, str]:
    types = ("Text", "Keyword", "Int", "Double", "Bool", "Datetime", "KeywordList")
    by_lower_name = {name.lower(): name for name in types}
    attributes = {}
    for name, kind in pairs(items, "search attributes").items():
        if kind.lower() not in by_lower_name:
            raise Refused(f'invalid search attribute value type "{kind}"')
        attributes[name] = by_lower_name[kind.lower()]
    return attributes


def _dynamic_config(items: list[str]) -> dict[str, Any]:
    import json

    values = {}
    for key, text in pairs(items, "dynamic config values").items():
        try:
            values[key] = json.loads(text)
        except ValueError as error:
            raise Refused(
                f'invalid dynamic config values: invalid JSON value for key "{key}": {error}'
            ) from error
    return values
