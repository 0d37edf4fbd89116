"""The scripts, by name. A script is an async function that is given a `World`."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, overload

from tests.differential.compare import Intended
from tests.differential.world import World

Play = Callable[[World], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Script:
    name: str
    play: Play
    #: Where perdure is meant to differ.
    intended: tuple[Intended, ...]
    #: Why perdure does not pass yet; the test must fail as long as this is set.
    pending: str | None
    #: Dynamic configuration of the servers that it runs against: scripts with the same share a pair.
    settings: tuple[str, ...] = ()
    #: The class of the world that `play` gets; that of a story has more words.
    world: type[World] = World


SCRIPTS: dict[str, Script] = {}


@overload
def script(play: Play, /) -> Play: ...


@overload
def script(
    *,
    intended: Iterable[Intended] = (),
    pending: str | None = None,
    settings: tuple[str, ...] = (),
) -> Callable[[Play], Play]: ...


def script(
    play: Play | None = None,
    /,
    *,
    intended: Iterable[Intended] = (),
    pending: str | None = None,
    settings: tuple[str, ...] = (),
) -> Callable[[Play], Play] | Play:
    """Register a script under the name of its function."""

    def register(play: Play) -> Play:
        name = getattr(play, "__name__", repr(play))
        add(name, play, intended=intended, pending=pending, settings=settings)
        return play

    return register if play is None else register(play)


def add(
    name: str,
    play: Callable[[Any], Awaitable[None]],
    *,
    intended: Iterable[Intended] = (),
    pending: str | None = None,
    settings: tuple[str, ...] = (),
    world: type[World] = World,
) -> None:
    """Register one of a family of scripts that a loop makes."""
    assert name not in SCRIPTS, f"two scripts are called {name}"
    SCRIPTS[name] = Script(name, play, tuple(intended), pending, settings, world)
