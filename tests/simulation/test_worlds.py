"""A few simulated worlds, and a few with a bug planted in each. `make simulate` runs a thousand."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import pytest

from perdure.testing.simulator.planted import BUGS, is_noticed
from perdure.testing.simulator.simulate import tried

#: Enough for a bug to be noticed by one of them at least; see docs/simulation.md for how many notice which.
SEEDS = range(40)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.slow
def test_nothing_goes_wrong(seed):
    _, summary, wrong = tried(seed)
    assert not wrong, wrong
    assert summary


def test_the_same_seed_is_the_same_world():
    first, second = tried(0), tried(0)
    assert first == second
    assert tried(1) != first


@pytest.fixture(scope="session")
def noticed(request):
    """By bug: whether it is noticed, in time. On all cores: these worlds take longer than any other tests."""
    bugs = [
        item.callspec.params["bug"]
        for item in request.session.items
        if "noticed" in getattr(item, "fixturenames", ())
    ]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=spawn) as pool:
        yield {bug: pool.submit(is_noticed, bug, SEEDS) for bug in bugs}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("bug", BUGS)
@pytest.mark.slow
def test_a_planted_bug_is_noticed(noticed, bug):
    assert noticed[bug].result()
