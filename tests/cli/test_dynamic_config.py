"""Dynamic configuration: conversions, and what happens to values that do not fit."""

import re
from dataclasses import fields

import pytest
import structlog

from perdure.core.limits import Limits
from perdure.dynamic_config import Constrained, Constraints, DynamicConfig, constrained
from perdure.dynamic_config_file import BadFile, DynamicConfigFile, values
from perdure.runtime.limits import GLOBAL, PER_NAMESPACE, ConfiguredLimits, limits_of


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


def test_keys_that_are_not_known_are_found_however_they_are_written():
    table = {
        "limit.maxIDLength": 3,
        "Frontend": {"rps": 1, "other": {"deep": 2}},
        "c": {"Timeout": 1},
    }
    config = DynamicConfig(table, over={"odd.table": constrained([{"value": {"a": 1}}])})
    known = frozenset({"limit.maxidlength", "frontend.rps", "c"})
    assert config.keys_but(known) == ["frontend.other.deep", "odd.table"]


def test_the_value_that_is_bound_most_narrowly_counts():
    config = DynamicConfig(
        {"k": 5},
        over={
            "k": constrained(
                [
                    {"value": 1},
                    {"value": 2, "constraints": {"Namespace": "a"}},
                    {"value": 3, "constraints": {"taskQueueName": "q"}},
                    {"value": 4, "constraints": {"namespace": "a", "taskQueueName": "q"}},
                    {"value": 6, "constraints": {"namespace": "a", "shardId": 1}},
                ]
            )
        },
    )
    assert [config.integer("k", 9, name) for name in ("", "a", "b")] == [1, 2, 1]
    assert config.queue_seconds("k", 9, "a", "q", 1) == 4
    assert config.queue_seconds("k", 9, "b", "q", 1) == 3
    assert config.queue_seconds("k", 9, "a", "other", 1) == 2
    assert DynamicConfig({}, over={"k": constrained([])}).integer("k", 9) == 9


def test_a_file_is_read_as_the_real_server_reads_it():
    read = values(b"""
Some.Key:
  - value: 1e3
    constraints: {namespace: a, taskType: Activity}
  - value: on
  - value: 12:30
  - value: 0x10
  - value: {a: [true, ~]}
empty: []
""")
    assert list(read) == ["some.key", "empty"]
    assert [each.value for each in read["some.key"]] == [
        1000.0,
        "on",
        "12:30",
        16,
        {"a": [True, None]},
    ]
    assert read["some.key"][0].constraints == Constraints(namespace="a", task_type=2)
    assert values(b"") == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: 5", "a: expected a list of values, each with `value` and `constraints`"),
        ("a: [5]", "a: expected `value` and `constraints`"),
        ("a: [{value: 5, constraints: {color: red}}]", "a: unknown constraint: color"),
        (
            "a: [{value: 5, constraints: {namespace: 5}}]",
            "a: constraint namespace: expected a string",
        ),
        (
            "a: [{value: 5, constraints: {taskType: Query}}]",
            "a: constraint taskType: expected Workflow or Activity",
        ),
        ("- a", "expected keys and their values"),
        ("{", "not a YAML file: "),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(text, why):
    with pytest.raises(ValueError, match=f"^{re.escape(why)}"):
        values(text.encode())


def test_a_file_is_read_again_when_it_has_changed(tmp_path):
    path = tmp_path / "dynamic.yaml"
    file = DynamicConfigFile(path)
    with pytest.raises(BadFile, match="No such file"):
        file.read_if_changed()
    assert file.read_if_changed() is None, "a missing file is reported once"
    path.write_text("a: [{value: 1}]")
    assert file.read_if_changed() == {"a": [Constrained(1)]}
    assert file.read_if_changed() is None
    path.write_text("a: oh dear")
    with pytest.raises(BadFile, match=re.escape(str(path))):
        file.read_if_changed()
    assert file.read_if_changed() is None, "a bad file is reported once"
    path.write_text("a: [{value: 22}]")
    assert file.read_if_changed() == {"a": [Constrained(22)]}


def test_every_limit_has_a_key_and_is_read_from_it():
    keys = {**PER_NAMESPACE, **GLOBAL}
    # A constant there, too; and lists and tables, which are read in their own ways.
    unset = {"max_workflow_task_timeout_ns"}
    own = {"callback_addresses", "callback_breaker_open_ns", "activity_retries", "workflow_retries"}
    assert {field.name for field in fields(Limits)} - unset - own == set(keys)
    assert not PER_NAMESPACE.keys() & GLOBAL.keys()
    assert limits_of(DynamicConfig({}), "a") == Limits()
    for name, key in keys.items():
        default = getattr(Limits(), name)
        value = not default if isinstance(default, bool) else 10**8
        read = limits_of(DynamicConfig({key: value}), "a")
        assert getattr(read, name) == (10**17 if name.endswith("_ns") else value)
    assert limits_of(DynamicConfig({"limit.memoSize.error": 1}), "a").memo_size == 2048


def test_a_value_for_a_namespace_holds_there_only():
    limits = ConfiguredLimits()
    assert limits.of("a") is limits.of("a")
    bound = [{"value": 10**6, "constraints": {"namespace": "a"}}]
    both = {"limit.blobSize.error": bound, "limit.maxIDLength": bound}
    limits.change(DynamicConfig({}, over={k.lower(): constrained(v) for k, v in both.items()}))
    assert limits.of("a").blob_size == 10**6
    assert limits.of("b").blob_size == Limits().blob_size
    assert limits.of("a").max_id_length == Limits().max_id_length, "a key that knows no namespaces"
