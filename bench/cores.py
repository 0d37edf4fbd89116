"""Pins the client, or client and server, to some of the cores.

Why it exists: the worker and the load generator use as much CPU as a server does, and the figures of a worker that is
pushed off its core say more about the scheduler than about the server. So by default the client is held to the upper
half of the cores. The servers stay free to use every core: holding the real server, which is multi-threaded, to fewer
would flatter perdure. `--pin both` holds the server (and its database) to the lower half, `--pin none` nobody.
"""

import enum
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Self


class Pin(enum.Enum):
    """The processes that are pinned to some of the cores."""

    CLIENT = "client"
    BOTH = "both"
    NONE = "none"


class Cores(NamedTuple):
    """The cores for each side; empty for a side that may use them all."""

    server: tuple[int, ...]
    client: tuple[int, ...]

    @classmethod
    def split(cls, pin: Pin) -> Self:
        """Divide the cores this process may use, if there are two or more."""
        usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        if pin is Pin.NONE or len(usable) < 2:
            return cls((), ())
        half = len(usable) - len(usable) // 2
        lower, upper = tuple(usable[:half]), tuple(usable[half:])
        return cls(lower if pin is Pin.BOTH else (), upper)

    @classmethod
    def one_each(cls) -> Self:
        """Give the server the first core that this process may use, and the client the last."""
        usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        return cls(tuple(usable[:1]), tuple(usable[-1:]))


def pin(cores: tuple[int, ...]) -> None:
    """Move the calling process to these cores. The processes that it starts from then on inherit them."""
    if cores:
        os.sched_setaffinity(0, cores)


@contextmanager
def pinned(cores: tuple[int, ...]) -> Iterator[None]:
    """Be on these cores for a while: what is started meanwhile stays on them, and counts them as all there are."""
    before = tuple(os.sched_getaffinity(0)) if cores else ()
    pin(cores)
    try:
        yield
    finally:
        pin(before)
