"""`perdure schema …`: the tables of a database.

A server checks the schema and refuses to start on one that it does not know; changing it is an operator's decision,
made here. (A file that does not exist yet is set up by the server itself.)
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from perdure.cli.flags import Parser, Refused
from perdure.cli.start import load_settings

T = TypeVar("T")


def add_to(group: Parser) -> None:
    for name, summary, run in (
        ("setup", "Create the tables in an empty database", setup),
        ("upgrade", "Bring the tables of a database forward to this version of perdure", upgrade),
        ("version", "Print the version of a database's tables", version),
        ("check", "Say whether this version of perdure can run on a database", check),
    ):
        command = group.group(name, summary)
        command.set_defaults(run=run)
        command.add_argument("--url", metavar="URL", help="the database, as in `url` of `[store]`")
        command.add_argument(
            "--config", type=Path, metavar="FILE", help="settings that name the database"
        )


def setup(options: argparse.Namespace) -> int:
    url = _url(options)
    from perdure.store import schema

    found = _ask(schema.version, url)
    if found is not None:
        raise Refused(f"there are tables of version {found} already: use `perdure schema upgrade`")
    _, reached = _ask(schema.upgrade, url)
    print(f"schema set up at version {reached}")
    return 0


def upgrade(options: argparse.Namespace) -> int:
    url = _url(options)
    from perdure.store import schema

    if _ask(schema.version, url) is None:
        raise Refused("there are no tables yet: use `perdure schema setup`")
    before, reached = _ask(schema.upgrade, url)
    if before == reached:
        print(f"schema is at version {reached} already")
    else:
        print(f"schema upgraded from version {before} to {reached}")
    return 0


def version(options: argparse.Namespace) -> int:
    url = _url(options)
    from perdure.store import schema

    found = _ask(schema.version, url)
    print("none" if found is None else found)
    return 0


def check(options: argparse.Namespace) -> int:
    url = _url(options)
    from perdure.store import schema

    _ask(schema.check, url)
    print("schema is current")
    return 0


def _url(options: argparse.Namespace) -> str:
    if options.url and options.config:
        raise Refused("give --url or --config, not both")
    if options.url:
        from perdure.settings import StoreSettings

        try:
            return StoreSettings(url=options.url).url
        except ValueError as error:
            raise Refused(f"--{error}") from error
    return load_settings(options.config).store.url


def _ask(question: Callable[[str], Awaitable[T]], url: str) -> T:
    from perdure.store.port import StoreError

    async def answer() -> T:
        return await question(url)

    try:
        return asyncio.run(answer())
    except StoreError as error:
        raise Refused(str(error)) from error
