"""Parses command lines: argparse, adapted to take the flags of the official CLI and to refuse in one line.

Global flags may stand before or after a command's name. A switch may carry a value (`--headless=false`). Names are not
abbreviated. This module does not decide what a flag means to a server.
"""

import argparse
import re
from collections.abc import Sequence
from typing import Any, Final, NoReturn

LOG_LEVELS: Final = ("debug", "info", "warn", "error", "never")
LOG_FORMATS: Final = ("text", "json", "pretty")

#: Global flags of the official CLI that say how a client connects and prints. Its server ignores them, and so does this
#: one: scripts put them into every command line.
_FOR_CLIENTS: Final = (
    "--client-connect-timeout",
    "--color",
    "--command-timeout",
    "--config-file",
    "--env",
    "--env-file",
    "--output",
    "--profile",
    "--time-format",
)
_SWITCHES_FOR_CLIENTS: Final = (
    "--disable-config-env",
    "--disable-config-file",
    "--no-json-shorthand-payloads",
)


class Refused(Exception):
    """The command cannot be done. The text is the one line that the user gets."""


class Parser(argparse.ArgumentParser):
    """One command, or a group of them."""

    def __init__(self, prog: str, description: str, **kwargs: Any) -> None:
        super().__init__(
            prog=prog,
            description=description,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **kwargs,
        )
        self._commands: argparse._SubParsersAction[Parser] | None = None
        self._add_global_flags()
        self.set_defaults(run=self._miss_command)

    def group(self, name: str, summary: str) -> "Parser":
        """Add a command, which runs or has commands of its own."""
        if self._commands is None:
            self._commands = self.add_subparsers(metavar="command", parser_class=Parser)
        return self._commands.add_parser(
            name, help=summary, description=summary + ".", prog=f"{self.prog} {name}"
        )

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        options, unknown = self.parse_known_args(arguments)
        if unknown:
            self.error(f"unrecognized arguments: {unknown[0]}")
        return options

    def add_switch(self, *names: str, **kwargs: Any) -> None:
        self.add_argument(
            *names, nargs="?", metavar="BOOL", const=True, default=False, type=_boolean, **kwargs
        )

    def error(self, message: str) -> NoReturn:
        raise Refused(_in_our_words(message))

    def _add_global_flags(self) -> None:
        # Without a default: a command must not overwrite a flag that stood before its name.
        absent: Any = argparse.SUPPRESS
        self.add_argument(
            "--log-level",
            choices=LOG_LEVELS,
            metavar="LEVEL",
            default=absent,
            help="log this level and higher ones: debug, info, warn, error or never",
        )
        self.add_argument(
            "--log-format",
            choices=LOG_FORMATS,
            metavar="FORMAT",
            default=absent,
            help="format of log lines: text, json or pretty",
        )
        for name in _FOR_CLIENTS:
            short = ("-o",) if name == "--output" else ()
            self.add_argument(*short, name, default=absent, help=argparse.SUPPRESS)
        for name in _SWITCHES_FOR_CLIENTS:
            self.add_switch(name, help=argparse.SUPPRESS)

    def _miss_command(self, _: argparse.Namespace) -> int:
        names = ", ".join(self._commands.choices) if self._commands else ""
        raise Refused(f'"{self.prog}" needs a command: {names}')


def pairs(items: Sequence[str], what: str) -> dict[str, str]:
    """Split KEY=VALUE arguments. If a key comes twice, the last value counts."""
    found: dict[str, str] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals:
            raise Refused(f"invalid {what}: missing expected '=' in \"{item}\"")
        found[key] = value
    return found


def _boolean(text: str) -> bool:
    if text.lower() in ("true", "t", "1"):
        return True
    if text.lower() in ("false", "f", "0"):
        return False
    raise argparse.ArgumentTypeError(f"expected true or false, got {text!r}")


def _in_our_words(message: str) -> str:
    """Turn a message of argparse into the words of the official CLI."""
    if found := re.match(r"unrecognized arguments: (.*)", message):
        kind = "flag" if found[1].startswith("-") else "argument"
        return f"unknown {kind}: {found[1]}"
    if found := re.match(r"argument command: invalid choice: ('[^']*').*", message):
        return f"unknown command: {found[1]}"
    return re.sub(r"^argument (\S+): ", r"flag \1: ", message)
