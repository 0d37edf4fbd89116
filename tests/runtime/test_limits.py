"""Keys of dynamic configuration whose values are tables: what they leave out has its default."""

import gc

import structlog

from perdure.core.limits import Limits, RetryDefaults
from perdure.dynamic_config import DynamicConfig
from perdure.runtime import limits
from perdure.runtime.limits import ConfiguredLimits, limits_of

ACTIVITIES = "history.defaultActivityRetryPolicy"
BREAKER = "history.outboundQueue.circuitBreakerSettings"


def test_a_part_of_what_retry_policies_have() -> None:
    told = {"InitialIntervalInSeconds": "2s", "maximumintervalcoefficient": 7.5}
    limits = limits_of(DynamicConfig({ACTIVITIES: told}), "ns")
    assert limits.activity_retries == RetryDefaults(2 * 10**9, 7, 2.0, 0)
    assert limits.workflow_retries == RetryDefaults()


def test_what_does_not_fit_is_reported_and_has_no_effect() -> None:
    for wrong in (7, {"MaximumAttempts": "many"}):
        with structlog.testing.capture_logs() as logs:
            limits = limits_of(DynamicConfig({ACTIVITIES: wrong}), "ns")
        assert limits.activity_retries == RetryDefaults()
        assert [line["key"] for line in logs] == [ACTIVITIES]


def test_how_long_a_receiver_is_left_alone() -> None:
    assert limits_of(DynamicConfig({BREAKER: {"Timeout": "5s"}}), "").callback_breaker_open_ns == (
        5 * 10**9
    )
    for none in ({"Timeout": 0}, {"MaxRequests": 3}, {}):
        limits = limits_of(DynamicConfig({BREAKER: none}), "")
        assert limits.callback_breaker_open_ns == Limits().callback_breaker_open_ns


def test_names_of_namespaces_that_nobody_has_are_forgotten(monkeypatch):
    monkeypatch.setattr(limits, "KNOWN_MAX", 10)
    known = ConfiguredLimits()
    for number in range(100):
        known.of(f"namespace-{number}")
    gc.collect()
    mine = [each for each in gc.get_objects() if type(each) is dict and "namespace-99" in each]
    assert len(mine) == 1
    assert len(mine[0]) <= 10
    assert known.of("namespace-99") == Limits()
