"""Calls are refused beyond what an operator allows, by namespace and by priority, and none if nothing is said."""

import pytest
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from perdure.core.errors import Code, Rejected
from perdure.dynamic_config import Constrained, Constraints, DynamicConfig
from perdure.frontend.call import Call
from perdure.frontend.rate_limits import RateLimits

SIGNAL = "SignalWorkflowExecution"
DESCRIBE = "DescribeWorkflowExecution"


class Clock:
    now = 100.0


def limits(**values: object) -> tuple[RateLimits, Clock]:
    clock = Clock()

    def check(name: str) -> None:
        if name == "nobody":
            raise Rejected(Code.NOT_FOUND, "no such namespace")

    made = RateLimits(check, lambda: clock.now)
    made.configure(DynamicConfig({"frontend": values}))
    return made, clock


def admitted(made: RateLimits, name: str = DESCRIBE, namespace: str = "ns", **call: str) -> bool:
    request = getattr(api, f"{name}Request")()
    try:
        with made.admitted(name, namespace, request, Call(metadata=call)):
            return True
    except Rejected as refused:
        if refused.code is not Code.RESOURCE_EXHAUSTED:
            raise
        return False


def count(made: RateLimits, name: str = DESCRIBE, namespace: str = "ns") -> int:
    for n in range(1000):
        if not admitted(made, name, namespace):
            return n
    return 1000


def test_nothing_is_limited_unless_somebody_says_so() -> None:
    made, _ = limits()
    assert not made.is_on
    assert count(made) == 1000


def test_a_namespace_has_its_rate_and_twice_as_much_at_once() -> None:
    made, clock = limits(namespaceRPS=5)
    assert made.is_on
    assert count(made) == 10
    assert count(made, namespace="other") == 10
    clock.now += 1
    assert count(made) == 5
    clock.now += 100
    assert count(made) == 10
    assert count(made, "ListWorkflowExecutions") == 1000, "lists have a limit of their own"


def test_what_comes_later_waits_for_what_comes_before() -> None:
    made, _ = limits(namespaceRPS=5)
    assert count(made) == 10
    assert count(made, "PollWorkflowTaskQueue") == 0
    assert count(made, SIGNAL) == 10
    made, clock = limits(namespaceRPS=5)
    assert count(made, SIGNAL) == 10
    assert count(made) == 0
    assert count(made, "DescribeNamespace") == 10
    clock.now += 2
    assert count(made) == 0, "what was taken before has to come back first"


def test_operators_come_first() -> None:
    made, _ = limits(namespaceRPS=5)
    assert count(made) == 10
    assert admitted(made, **{"caller-type": "operator"})


def test_the_server_has_a_rate_of_its_own() -> None:
    made, _ = limits(rps=3)
    assert count(made) == 6
    assert count(made, namespace="other") == 0
    made, _ = limits(rps=3, globalRPS=7)
    assert count(made) == 14, "the rate of the cluster, which is this server"


def test_a_rate_may_hold_for_one_namespace() -> None:
    made, _ = limits()
    only = [Constrained(1, Constraints(namespace="ns"))]
    made.configure(DynamicConfig({}, {"frontend.namespacerps": only}))
    assert (count(made), count(made, namespace="other")) == (2, 1000)


def test_a_namespace_that_is_not_there_is_refused_as_such() -> None:
    made, _ = limits(namespaceRPS=5)
    request = api.DescribeWorkflowExecutionRequest()
    with (
        pytest.raises(Rejected, match="no such namespace"),
        made.admitted(DESCRIBE, "nobody", request, Call()),
    ):
        raise AssertionError


def test_so_many_polls_at_once() -> None:
    made, _ = limits(namespaceCount=1)
    request = api.PollWorkflowTaskQueueRequest()
    with made.admitted("PollWorkflowTaskQueue", "ns", request, Call()):
        assert not admitted(made, "PollWorkflowTaskQueue")
        assert admitted(made, "PollActivityTaskQueue")
        assert admitted(made, "PollWorkflowTaskQueue", "other")
        assert admitted(made, "GetWorkflowExecutionHistory")
        with made.admitted(
            "GetWorkflowExecutionHistory",
            "ns",
            api.GetWorkflowExecutionHistoryRequest(wait_new_event=True),
            Call(),
        ):
            assert admitted(made, "GetWorkflowExecutionHistory"), "that does not wait"
    assert admitted(made, "PollWorkflowTaskQueue")
