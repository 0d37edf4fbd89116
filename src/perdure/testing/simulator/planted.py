"""Bugs on purpose: how many worlds notice each? `python -m perdure.testing.simulator.planted [SEEDS] [--write]`.

A simulator that finds nothing is either in front of a server without bugs or blind; this says which. `--write` puts the
table into docs/simulation.md.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from perdure.testing.simulator import planted_callbacks, planted_control, planted_runtime
from perdure.testing.simulator.planted_callbacks import CALLBACKS
from perdure.testing.simulator.planted_control import CONTROL
from perdure.testing.simulator.planted_front import FRONT
from perdure.testing.simulator.planted_gone import GONE
from perdure.testing.simulator.planted_lists import LISTS
from perdure.testing.simulator.planted_rules import RULES
from perdure.testing.simulator.planted_runtime import RUNTIME
from perdure.testing.simulator.planted_stuck import STUCK
from perdure.testing.simulator.simulate import tried

SEEDS = 100
PAGE = Path(__file__).parents[4] / "docs" / "simulation.md"
MARK = "<!-- planted -->"

Plant = Callable[[], Any]


BUGS: dict[str, Plant] = {
    **RUNTIME,
    **RULES,
    **CONTROL,
    **GONE,
    **CALLBACKS,
    **LISTS,
    **STUCK,
    **FRONT,
}

#: Behind each of these stands a second defence, which the worlds rarely break through; see docs/simulation.md.
DEFENDED_TWICE: dict[str, Plant] = {
    **planted_runtime.RARELY_NOTICED,
    **planted_control.RARELY_NOTICED,
    **planted_callbacks.RARELY_NOTICED,
}


def notices(bug: str, seed: int) -> bool:
    """Whether the world of this seed ends badly with the bug in it."""
    with (BUGS | DEFENDED_TWICE)[bug]():
        return bool(tried(seed)[2])


def is_noticed(bug: str, seeds: Iterable[int]) -> bool:
    """Whether one of the worlds of these seeds ends badly with the bug in it."""
    return any(notices(bug, seed) for seed in seeds)


def _count(case: tuple[str, int]) -> tuple[str, bool]:
    return case[0], notices(*case)


def main(arguments: list[str]) -> int:
    seeds = int(next((each for each in arguments if each.isdigit()), SEEDS))
    counts = dict.fromkeys(BUGS | DEFENDED_TWICE, 0)
    with multiprocessing.Pool(os.cpu_count(), maxtasksperchild=8) as pool:
        cases = [(bug, seed) for bug in counts for seed in range(seeds)]
        for bug, noticed in pool.imap_unordered(_count, cases):
            counts[bug] += noticed
    lines = [f"| planted bug | noticed by, of {seeds} worlds |", "| --- | --- |"]
    for title, bugs in (("", BUGS), ("*defended twice*", DEFENDED_TWICE)):
        lines += [f"| {title} | |"] if title else []
        lines += [f"| {bug} | {counts[bug]} |" for bug in bugs]
    table = "\n".join(lines)
    print(table)
    if "--write" in arguments:
        before, _, _ = PAGE.read_text().partition(MARK)
        PAGE.write_text(f"{before}{MARK}\n\n{table}\n")
    return 1 if any(counts[bug] == 0 for bug in BUGS) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
