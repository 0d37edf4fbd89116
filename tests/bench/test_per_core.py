"""Turns of the servers, and the tables of what they did on one core."""

from bench.per_core import Run, Waiting, turns
from bench.per_core_report import Spread, as_text, pairs
from bench.raw import Found


def run(product: str, number: int, cpu_ms: float, **more: object) -> Run:
    found = Found(count=100, server_cpu_seconds=cpu_ms / 10, seconds=1.0, p50_ms=5.0)
    return Run(
        server=f"{product}-memory",
        store="memory",
        product=product,
        round_number=number,
        load=1.0,
        idle_bytes=50_000_000,
        used_bytes=60_000_000,
        workflows={19: found},
        calls={"signal": found, "update": found, "query": found},
        pollers={1000: Waiting(50_000_000, 55_000_000, 54_000_000)},
        **more,
    )


def cpu_ms(of: Run) -> float:
    return of.workflows[19].server_cpu_ms


def test_every_second_round_goes_the_other_way():
    assert list(turns(3, "ab")) == [(1, "a"), (1, "b"), (2, "b"), (2, "a"), (3, "a"), (3, "b")]


def test_ratios_are_taken_within_a_round():
    """A noisy minute hits both sides of a pair: the medians of all rounds would say 0.3 here."""
    runs = [
        *(run("before", 1, 10), run("before", 2, 20), run("before", 3, 40)),
        *(run("perdure", 1, 5), run("perdure", 2, 10)),
    ]
    assert pairs(runs, "memory", "perdure", "before", cpu_ms).values == [0.5, 0.5]


def test_a_store_is_not_compared_with_another():
    assert pairs([run("perdure", 1, 5)], "file", "perdure", "before", cpu_ms).values == []


def test_a_spread_shows_its_range_if_it_has_one():
    assert Spread([]).text() == ""
    assert Spread([2.0]).text(1) == "2.0"
    assert Spread([3.0, 1.0, 2.0]).text(1) == "2.0 (1.0 to 3.0)"


def test_goals_say_whether_they_are_reached():
    text = as_text([run("perdure", 1, 2.0), run("temporal", 1, 16.0)])
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.count("|") > 3}
    assert "reached" in lines["server CPU of a workflow, memory, ms"]
    assert "NOT YET" in lines["workflows per core to the real server, memory"]
    assert "reached" in lines["a waiting poller of 1,000, KB"]


def test_what_is_beside_stands_in_the_tables_but_has_no_goals():
    text = as_text([run("before", 1, 10.0)])
    assert "before-memory" in text
    assert "## Wanted" not in text
