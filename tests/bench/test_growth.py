"""The tables of what grows large."""

from bench.growth import SCENARIOS, Step, as_text
from bench.raw import Probed


def test_a_step_is_a_row_under_its_scenario():
    step = Step(
        scenario="burst",
        server="perdure-file",
        name="4,000 starts",
        count=4000,
        seconds=2.0,
        server_cpu_seconds=4.0,
        before_bytes=70_000_000,
        peak_bytes=90_000_000,
        after_bytes=80_000_000,
        probe=Probed(count=40, p50_ms=3.0, p99_ms=40.0, max_ms=50.0, refused_count=2),
        remark="answers: 4000 OK",
    )
    text = as_text([step])
    assert "## burst" in text
    (row,) = (line for line in text.splitlines() if "4,000 starts" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == [
        *("4,000 starts", "perdure-file", "2.00", "4.00", "1.00"),
        *("3.00 / 40.0 / 50.0, 2 refused", "", "70, 90, 80", "answers: 4000 OK"),
    ]


def test_every_scenario_says_what_grows():
    assert [name for name, each in SCENARIOS.items() if not each.play.__doc__] == []
