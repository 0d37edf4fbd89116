"""The list of what the Python SDK's suite does not pass yet, and the page that sums it up."""

import re
from collections import Counter

from tools.conformance import BEHIND, ROOT, node, table

PAGE = ROOT / "docs" / "conformance.md"


def test_the_page_counts_what_is_in_the_list() -> None:
    counted = Counter(table(BEHIND).values())
    _, _, reasons = PAGE.read_text().partition("| reason | tests |")
    assert {
        name: int(count) for name, count in re.findall(r"\| (.+) \| (\d+) \|", reasons)
    } == counted


def test_the_list_is_in_order() -> None:
    assert list(table(BEHIND)) == sorted(table(BEHIND))


def test_a_test_is_found_again_by_its_name() -> None:
    assert node("tests.worker.test_x::test_y[a.b]") == "tests/worker/test_x.py::test_y[a.b]"
    assert node("tests.test_x.TestY::test_z") == "tests/test_x.py::TestY::test_z"
