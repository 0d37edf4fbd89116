"""`perdure schema …`: the tables of a database.

A server checks the schema, and refuses to start on one that it does not know. Operators change a schema by these
commands. (The server itself sets up a file that does not exist yet.)
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from perdure.cli.flags import Parser, Refused
from perdure.cli.start import load_settings

T = TypeVar("T")

#: The prefix of lines about the database that `visibility_url` names.
VISIBILITY = "visibility database: "


def add_to(group: Parser) -> None:
    for name, summary, run in (
        ("setup", "Create the tables in an empty database", setup),
        ("upgrade", "Upgrade the tables of a database to this version of perdure", upgrade),
        ("version", "Print the version of a database's tables", version),
        (
            "rebuild-lists",
            "Rebuild the lists in the main database from its executions, to give up a second database",
            rebuild_lists,
        ),
        ("check", "Check whether this version of perdure can use a database", check),
    ):
        command = group.group(name, summary)
        command.set_defaults(run=run)
        command.add_argument("--url", metavar="URL", help="the database, as in `url` of `[store]`")
        command.add_argument(
            "--config", type=Path, metavar="FILE", help="settings that name the database"
        )


def setup(options: argparse.Namespace) -> int:
    databases = _databases(options)
    from perdure.store import schema

    found = {prefix: _ask(schema.version, url, prefix) for prefix, url in databases.items()}
    if None not in found.values():
        version = found[""]
        raise Refused(
            f"the tables exist already, at version {version}: use `perdure schema upgrade`"
        )
    for prefix, url in databases.items():
        if found[prefix] is None:
            _, reached = _ask(schema.upgrade, url, prefix)
            print(f"{prefix}schema set up at version {reached}")
    return 0


def upgrade(options: argparse.Namespace) -> int:
    databases = _databases(options)
    from perdure.store import schema

    for prefix, url in databases.items():
        if _ask(schema.version, url, prefix) is None:
            raise Refused(f"{prefix}the tables do not exist yet: use `perdure schema setup`")
    for prefix, url in databases.items():
        before, reached = _ask(schema.upgrade, url, prefix)
        if before == reached:
            print(f"{prefix}schema is at version {reached} already")
        else:
            print(f"{prefix}schema upgraded from version {before} to {reached}")
    return 0


def version(options: argparse.Namespace) -> int:
    databases = _databases(options)
    from perdure.store import schema

    for prefix, url in databases.items():
        found = _ask(schema.version, url, prefix)
        print(prefix + ("none" if found is None else str(found)))
    return 0


def check(options: argparse.Namespace) -> int:
    databases = _databases(options)
    from perdure.store import schema

    for prefix, url in databases.items():
        _ask(schema.check, url, prefix)
        print(f"{prefix}schema is current")
    return 0


def rebuild_lists(options: argparse.Namespace) -> int:
    url = _databases(options)[""]
    from perdure.rebuild import rebuild_lists_of
    from perdure.store import schema

    _ask(schema.check, url, "")
    count = _ask(rebuild_lists_of, url, "")
    print(f"lists show {count} executions; the server may start without `visibility_url`")
    return 0


def _databases(options: argparse.Namespace) -> dict[str, str]:
    """Return the URL of each database, by the prefix of lines about it. The main one is first, without a prefix."""
    if options.url and options.config:
        raise Refused("give --url or --config, not both")
    if options.url:
        from perdure.settings import StoreSettings

        try:
            return {"": StoreSettings(url=options.url).url}
        except ValueError as error:
            raise Refused(f"--{error}") from error
    store = load_settings(options.config).store
    return {"": store.url} | ({VISIBILITY: store.visibility_url} if store.visibility_url else {})


def _ask(question: Callable[[str], Awaitable[T]], url: str, prefix: str) -> T:
    from perdure.store.port import StoreError

    async def answer() -> T:
        return await question(url)

    try:
        return asyncio.run(answer())
    except StoreError as error:
        raise Refused(f"{prefix}{error}") from error
