"""Every effect of every archetype has one deliverer, in the table of its family."""

import importlib
from typing import get_args

import pytest

from perdure.core.archetypes import ARCHETYPES
from perdure.core.execution.archetype import Archetype
from perdure.core.workflow.effects import AnswerQuery, StartChild
from perdure.runtime.delivery.families import Families
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.node import Node
from perdure.store.memory import MemoryStore
from tests.runtime.nodes import SetClock


@pytest.fixture
async def node() -> Node:
    return Node(MemoryStore(), SetClock(), ConfiguredLimits(), owner="node-1")


@pytest.mark.parametrize("archetype", ARCHETYPES.values(), ids=lambda each: each.name)
async def test_each_effect_has_its_deliverer(node: Node, archetype: Archetype[object]) -> None:
    effects = importlib.import_module(f"perdure.core.{archetype.name}.effects")
    tables = node.families
    assert set(tables.queue_tasks) >= set(effects.QUEUE_TASKS) == set(archetype.queue_tasks)
    assert set(tables.outgoing_requests) >= set(effects.OUTGOING_REQUESTS)
    assert set(tables.outbound_calls) >= set(effects.OUTBOUND_CALLS)
    assert set(tables.caller_answers) >= set(effects.CALLER_ANSWERS)
    assert set(tables.by_type()) >= set(get_args(effects.Effect))


async def test_no_deliverer_is_left_over(node: Node) -> None:
    known = {
        kind
        for each in ARCHETYPES.values()
        for kind in get_args(importlib.import_module(f"perdure.core.{each.name}.effects").Effect)
    }
    assert set(node.families.by_type()) == known


def test_two_deliverers_of_one_effect_are_seen() -> None:
    """The test of the test."""
    table = {StartChild: lambda key, effect: None}
    others = {AnswerQuery: lambda key, effect: None}
    assert set(Families(table, {}, {}, others).by_type()) == {StartChild, AnswerQuery}
    with pytest.raises(AssertionError, match="two families"):
        Families({}, table, table, others).by_type()
