"""Requests and views are values that another node can be sent: no field of one holds what cannot be serialised."""

import dataclasses
import pickle
import sys
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from google.protobuf.message import Message
from temporalio.api.common.v1 import Link
from temporalio.api.workflowservice.v1 import StartWorkflowExecutionRequest

from perdure.core import archetypes
from perdure.core.errors import Rejected
from perdure.core.execution.decision import BusinessIdRequest
from perdure.core.execution.request import Request, View
from perdure.core.workflow import start_workflow, views
from perdure.core.workflow.machine import REQUESTS

assert archetypes.ARCHETYPES
assert start_workflow
assert views, "these are imported: so are all requests and views"

_PLAIN: dict[Any, Any] = {str: "x", int: 1, bool: True, float: 0.5, bytes: b"x", NoneType: None}


def subclasses(kind: type) -> list[type]:
    """Return those that a module of perdure has: the classes without slots that `dataclass` made anew are not."""
    return [
        each
        for each in kind.__subclasses__()
        if each.__module__.startswith("perdure.")
        and getattr(sys.modules[each.__module__], each.__name__) is each
    ]


PARENTS = (Request, BusinessIdRequest, View)
VALUES = sorted(
    {*REQUESTS, *(each for parent in PARENTS for each in subclasses(parent))} - {BusinessIdRequest},
    key=lambda each: each.__name__,
)


def examples(kind: Any) -> list[Any]:
    """Return values of a type, one for each thing that it may be. Raises `TypeError` for what cannot be sent."""
    if kind in _PLAIN:
        return [_PLAIN[kind]]
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return [value for each in inner for value in examples(each)]
    if origin is tuple:
        return [tuple(examples(inner[0])), ()]
    if origin is frozenset:
        return [frozenset(examples(inner[0]))]
    if origin is dict:
        return [{examples(inner[0])[0]: examples(inner[1])[0]}]
    if isinstance(kind, type) and issubclass(kind, Message):
        return [kind()]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return list(kind)
    if dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"):
        return [built(kind, at) for at in range(most(kind))]
    raise TypeError(f"{kind} cannot be sent to another node")


def fields_of(kind: Any) -> dict[str, list[Any]]:
    return {name: examples(each) for name, each in get_type_hints(kind).items()}


def most(kind: Any) -> int:
    return max((len(each) for each in fields_of(kind).values()), default=1)


def built(kind: Any, at: int) -> Any:
    """Return a value of a dataclass: of each field the `at`-th of what it may be."""
    return kind(**{name: each[min(at, len(each) - 1)] for name, each in fields_of(kind).items()})


@pytest.mark.parametrize("kind", VALUES, ids=lambda each: each.__name__)
def test_a_request_is_a_value(kind: Any) -> None:
    assert issubclass(kind, Request | View)
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen
    for value in examples(kind):
        assert not hasattr(value, "__dict__"), "it has slots, and nothing besides its fields"
        again = pickle.loads(pickle.dumps(value))
        assert again == value
        assert type(again) is kind


@pytest.mark.parametrize("kind", list(REQUESTS), ids=lambda each: each.__name__)
def test_a_request_says_what_its_reply_is(kind: Any) -> None:
    """A refusal that is recorded is no reply to whoever asks: it is raised."""
    [base] = [each for each in kind.__orig_bases__ if get_origin(each) is Request]
    said = set(get_args(get_args(base)[0])) or {get_args(base)[0]}
    returned = get_type_hints(REQUESTS[kind])["return"]
    returned = set(get_args(returned)) if get_origin(returned) is UnionType else {returned}
    assert said == returned - {Rejected}


def test_what_cannot_be_sent_is_seen() -> None:
    """The test of the test: a callable, and a part of a message that lives as long as the message only."""

    @dataclasses.dataclass(frozen=True, slots=True)
    class Wrong:
        decide: Any

    with pytest.raises(TypeError):
        examples(Wrong)
    with pytest.raises(TypeError):
        pickle.dumps(StartWorkflowExecutionRequest(links=[Link()]).links)
    assert examples(tuple[Link, ...]) == [(Link(),), ()]
