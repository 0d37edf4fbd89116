"""`python -m perdure.testing.simulator.simulate [SEED]`: one world by its seed, or a thousand of them.

The same seed always gives the same world, so a failure is told by its seed alone.
"""

import logging
import multiprocessing
import os
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog

from perdure.testing.simulator.world import simulate

SEEDS = 1000

#: What the server itself has called a bug in the world of this moment.
_called_bugs: list[str] = []


def listen() -> None:
    """In a world where everything breaks, everybody complains all the time: hear only what should not be."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        processors=[_hear],
    )


def _hear(_: object, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if str(entry["event"]).startswith("bug"):
        error = traceback.format_exc() if entry.get("exc_info") else entry.get("error", "")
        _called_bugs.append(f"{entry['event']}: {error}")
    raise structlog.DropEvent


def tried(seed: int) -> tuple[int, str, str]:
    """Return the seed, what happened, and what went wrong (nothing: an empty string)."""
    listen()
    _called_bugs.clear()
    try:
        summary = simulate(seed)
    except BaseException as error:
        told = "".join(traceback.format_exception(error))
        return seed, "", "\n".join([*_called_bugs, told])
    return seed, summary, "\n".join(_called_bugs)


def main(arguments: list[str]) -> int:
    if arguments:
        seed, summary, wrong = tried(int(arguments[0]))
        print(wrong or f"seed {seed}: {summary}")
        return 1 if wrong else 0
    failed = []
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for done, (seed, _, wrong) in enumerate(pool.imap_unordered(tried, range(SEEDS)), 1):
            if wrong:
                failed.append(seed)
                print(f"seed {seed} fails: {_last_line(wrong)}", flush=True)
            if done % 100 == 0:
                print(f"{done} of {SEEDS} worlds, {len(failed)} failures", flush=True)
    if failed:
        print(f"failed: {sorted(failed)}; `make simulate SEED={min(failed)}` tells more")
    return 1 if failed else 0


def _last_line(wrong: str) -> str:
    """Return the error itself: a line that names an exception."""
    lines = [line.strip(" |+-") for line in wrong.splitlines()]
    named = [line for line in lines if "Error" in line.partition(":")[0] and " s " not in line]
    return (named or lines)[-1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
