"""`python -m perdure.testing.simulator.simulate [SEED]`: one world by its seed, or a thousand of them.

The same seed always gives the same world, so a failure is told by its seed alone.
"""

import logging
import multiprocessing
import os
import sys
import traceback

import structlog

from perdure.testing.simulator.world import simulate

SEEDS = 1000


def be_quiet() -> None:
    """In a world where everything breaks, everybody complains all the time."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def tried(seed: int) -> tuple[int, str, str]:
    """Return the seed, what happened, and what went wrong (nothing: an empty string)."""
    be_quiet()
    try:
        return seed, simulate(seed), ""
    except BaseException:
        return seed, "", traceback.format_exc()


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
                print(f"seed {seed} fails:\n{wrong}", flush=True)
            if done % 100 == 0:
                print(f"{done} of {SEEDS} worlds, {len(failed)} failures", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
