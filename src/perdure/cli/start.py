"""`perdure server start`: a server that takes its settings from a file and the environment."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from perdure.cli.flags import Parser, Refused
from perdure.cli.lean_imports import import_messages_without_sdk

if TYPE_CHECKING:
    from perdure.settings import Settings

DESCRIPTION = """\
Run a server with the settings of a file and the environment.

    perdure server start --config perdure.toml

Every key of the file is also an environment variable, which overrides it: PERDURE_STORE_URL is `url` in `[store]`.
docs/operations.md lists all keys."""


def add_to(server: Parser) -> None:
    command = server.group("start", "Run a server with the settings of a file")
    command.description = DESCRIPTION
    command.set_defaults(run=run)
    command.add_argument("--config", type=Path, metavar="FILE", help="the settings, as TOML")


def run(options: argparse.Namespace) -> int:
    settings = with_log_flags(load_settings(options.config), options)
    import_messages_without_sdk()
    from perdure.cli.serving import serve

    return serve(settings, shows_http=True)


def load_settings(path: Path | None) -> "Settings":
    from perdure.settings import SettingsError, load

    try:
        return load(path)
    except SettingsError as error:
        raise Refused(str(error)) from error


def with_log_flags(settings: "Settings", options: argparse.Namespace) -> "Settings":
    """Return the settings with the log flags of the command line, which override the file."""
    from msgspec.structs import replace

    log = replace(
        settings.log,
        format=getattr(options, "log_format", settings.log.format),
        level=getattr(options, "log_level", settings.log.level),
    )
    return replace(settings, log=log)
