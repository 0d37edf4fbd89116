"""The `perdure` command.

    flags        parses command lines as the official CLI does
    start_dev    `perdure server start-dev`: a server for one developer, with the flags of the official one
    start        `perdure server start`: a server that reads its settings from a file and the environment
    lean_imports keeps packages out that a server does not use
    serving      runs a server until a signal stops it
    schema       `perdure schema …`: the tables of a database

A command imports its modules when it runs, so that `--help` and a bad flag answer at once. The command is a client of
the server like any other: it starts one, and never reaches into it.
"""

import sys
from collections.abc import Sequence

from perdure import __version__
from perdure.cli import schema, start, start_dev
from perdure.cli.flags import Parser, Refused
from perdure.cli.lean_imports import import_log_without_rich


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line. A command that cannot be done prints one line on standard error and returns 1."""
    import_log_without_rich()
    try:
        options = _root().parse(sys.argv[1:] if arguments is None else arguments)
        code: int = options.run(options)
        return code
    except Refused as refusal:
        print(f"Error: {refusal}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _root() -> Parser:
    root = Parser("perdure", "A durable-execution server that speaks the Temporal API.")
    root.add_argument("--version", action="version", version=f"perdure {__version__}")
    server = root.group("server", "Run a server")
    start_dev.add_to(server)
    start.add_to(server)
    schema.add_to(root.group("schema", "Set up and upgrade the tables of a database"))
    return root
