"""Dynamic configuration: conversions, and what happens to values that do not fit."""

import pytest
import structlog

from perdure.dynamic_config import DynamicConfig


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1m30s", 90),
        ("10", 10),
        (10, 10),
        (0.5, 0.5),
        ("1.5h", 5400),
        ("100ms", 0.1),
        ("-3s", -3),
        ("2d", 172800),
    ],
)
def test_durations(text, seconds):
    assert DynamicConfig({"k": text}).seconds("k", 1) == pytest.approx(seconds)


def test_keys_are_compared_without_regard_to_case():
    config = DynamicConfig({"limit.maxIDLength": 3, "b": "true", "f": 2, "s": "x"})
    assert config.integer("LIMIT.maxidlength", 1000) == 3
    assert config.boolean("b", False) is True
    assert config.number("f", 0.5) == 2.0
    assert config.string("s", "") == "x"
    assert config.integer("other", 1000) == 1000


def test_a_value_that_does_not_fit_is_replaced_by_the_default_and_reported_once():
    config = DynamicConfig({"i": "3", "b": 1, "n": True, "d": "soon", "s": 1})
    with structlog.testing.capture_logs() as lines:
        for _ in range(2):
            assert config.integer("i", 1000) == 1000
            assert config.boolean("b", True) is True
            assert config.number("n", 0.5) == 0.5
            assert config.seconds("d", 7) == 7
            assert config.string("s", "x") == "x"
    assert [line["key"] for line in lines] == ["i", "b", "n", "d", "s"]
    assert {line["log_level"] for line in lines} == {"warning"}
