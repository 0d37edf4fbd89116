"""`python -m perdure.testing.simulator.simulate [SEED | FIRST-LAST] [PROCESSES]`: one world, many, or a thousand.

The same seed always gives the same world, so its seed is all that a failure needs.
"""

import logging
import multiprocessing
import os
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog

from perdure.testing.promises import held_to
from perdure.testing.simulator.virtual_loop import bounded_cpu
from perdure.testing.simulator.world import simulate

SEEDS = 1000

#: Log lines of the server that say "bug", in the world of this moment.
_called_bugs: list[str] = []


def listen() -> None:
    """Everything breaks in a world, and all log: hear bugs only."""
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
        with bounded_cpu(), held_to(_called_bugs.append):
            summary = simulate(seed)
    except BaseException as error:
        trace = "".join(traceback.format_exception(error))
        return seed, "", "\n".join([*_called_bugs, trace])
    return seed, summary, "\n".join(_called_bugs)


def main(arguments: list[str]) -> int:
    first, is_range, last = arguments[0].partition("-") if arguments else ("0", "-", str(SEEDS - 1))
    if is_range:
        processes = int(arguments[1]) if len(arguments) > 1 else os.cpu_count()
        return _play(range(int(first), int(last) + 1), processes)
    seed, summary, wrong = tried(int(first))
    print(wrong or f"seed {seed}: {summary}")
    return 1 if wrong else 0


def _play(seeds: range, processes: int | None) -> int:
    """Play the worlds of all `seeds`, in their order."""
    failed = []
    with multiprocessing.Pool(processes) as pool:
        for done, (seed, _, wrong) in enumerate(pool.imap(tried, seeds), 1):
            if wrong:
                failed.append(seed)
                print(f"seed {seed} fails: {_last_line(wrong)}", flush=True)
            if done % 100 == 0:
                print(f"{done} worlds, up to {seed}, {len(failed)} failures", flush=True)
    print(f"{len(seeds)} worlds, {len(failed)} failures", flush=True)
    if failed:
        print(f"failed: {failed}; `make simulate SEED={failed[0]}` tells more")
    return 1 if failed else 0


def _last_line(wrong: str) -> str:
    """Return the error itself: a line that names an exception, else the last one that says anything."""
    lines = [text for line in wrong.splitlines() if (text := line.strip(" |+-"))]
    named = [line for line in lines if "Error" in line.partition(":")[0] and " s " not in line]
    return (named or lines)[-1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
