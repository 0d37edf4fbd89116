"""Simulated worlds send every RPC that is served."""

from collections import Counter

import pytest

from perdure.frontend.registry import implemented
from perdure.testing.simulator.simulate import listen
from perdure.testing.simulator.world import simulate

SEEDS = range(12)
#: RPCs that no world sends, and why.
NOT_SENT = {
    "AddOrUpdateRemoteCluster": "it refuses every cluster: there is no replication",
}


@pytest.mark.slow
def test_every_served_rpc_is_sent():
    listen()
    answered: Counter[str] = Counter()
    for seed in SEEDS:
        simulate(seed, answered)
    served = {name.rpartition("/")[2] for name in implemented()}
    assert served - answered.keys() == NOT_SENT.keys()
