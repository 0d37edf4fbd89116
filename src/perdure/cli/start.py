"""`perdure server start`: a server that takes its settings from a file and the environment."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from perdure.cli.flags import Parser, Refused

if TYPE_CHECKING:
    from perdure.settings import Settings

DESCRIPTION = """\
Run a server as a settings file says.

    perdure server start --config perdure.toml

Every key of the file is also an environment variable, which wins: PERDURE_STORE_URL is `url` in `[store]`.
docs/operations.md lists them all."""


def add_to(server: Parser) -> None:
    command = server.group("start", "Run a server as a settings file says")
    command.description = DESCRIPTION
    command.set_defaults(run=run)
    command.add_argument("--config", type=Path, metavar="FILE", help="the settings, as TOML")


def run(options: argparse.Namespace) -> int:
    settings = with_log_flags(load_settings(options.config), options)
    from perdure.cli.serving import serve

    return serve(settings, shows_http=True)


def load_settings(path: Path | None) -> "Settings":
    from perdure.settings import SettingsError, load

    try:
        return load(path)
    except SettingsError as error:
        raise Refused(str(error)) from error


def with_log_flags(settings: "Settings", options: argparse.Namespace) -> "Settings":
    """A flag is closer at hand than a file: it wins."""
    from msgspec.structs import replace

    log = replace(
        settings.log,
        format=getattr(options, "log_format", settings.log.format),
        level=getattr(options, "log_level", settings.log.level),
    )
    return replace(settings, log=log)
