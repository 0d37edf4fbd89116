"""The raw driver against a perdure in a process of its own."""

import pytest

from bench import go_programs
from bench.contenders import Contender
from bench.cores import Cores
from bench.growth import SCENARIOS, Pace, Stage
from bench.lab import laboratory
from bench.raw import Driver
from bench.servers import Kind, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not go_programs.can_build(), reason="the raw driver needs Go"),
]


@pytest.fixture(scope="module")
def driver():
    return Driver(go_programs.driver())


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with laboratory(tmp_path_factory.mktemp("bench"), Cores((), ()), []) as found:
        yield found


@pytest.fixture(scope="module")
def server(lab):
    with running(lab.launch(Kind.PERDURE_MEMORY, "server")) as found:
        yield found


def test_workflows_complete(driver, server):
    found = driver.run("workflows", server, "-count", 10, "-at-once", 5, "-activities", 2)
    assert found.count == 10
    assert not found.refused
    assert 0 < found.p50_ms <= found.p99_ms


@pytest.mark.parametrize("kind", ["signal", "update", "query"])
def test_calls_are_answered(driver, server, kind):
    flags = ("-kind", kind, "-runs", 2, "-at-once", 4, "-count", 20, "-warm-up", 4)
    found = driver.run("calls", server, *flags)
    assert found.count == 20
    assert not found.refused


def test_pollers_wait_until_they_are_let_go(driver, server):
    with driver.waiting_pollers(server, 20):
        probe = driver.probe(server)
        driver.run("burst", server, "-count", 50)
    assert probe.end().refused_count == 0


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_a_scenario_can_be_played_small(driver, lab, name):
    contender = Contender("perdure", "file", Kind.PERDURE_FILE)
    launch = contender.launch(lab, f"scenario-{name}", SCENARIOS[name].settings)
    with running(lab.launch(Kind.PERDURE_MEMORY, f"control-{name}")) as control:
        stage = Stage(contender, driver, launch, control, Pace(0.1, 0.1, 1, 1, 1))
        try:
            steps = list(SCENARIOS[name].play(stage, 50))
        finally:
            stage.close()
    assert steps
