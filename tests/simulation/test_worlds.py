"""A few simulated worlds, and a few with a bug planted in each. `make simulate` runs a thousand."""

import pytest

from perdure.testing.simulator.planted import BUGS, notices
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


@pytest.mark.parametrize("bug", BUGS)
@pytest.mark.slow
def test_a_planted_bug_is_noticed(bug):
    assert any(notices(bug, seed) for seed in SEEDS)
