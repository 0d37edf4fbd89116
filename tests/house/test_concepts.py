"""Every concept is in its archetype's list, and says which of its timers and effects a reload must ask for again."""

import ast
import importlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from perdure.core.execution.concept import Concept
from perdure.core.execution.outcome import TimerKind
from perdure.core.workflow.concepts import CONCEPTS as OF_WORKFLOWS
from perdure.core.workflow.effects import (
    CALLER_ANSWERS,
    OUTBOUND_CALLS,
    OUTGOING_REQUESTS,
    QUEUE_TASKS,
    DispatchQuery,
    Effect,
)
from tests.house.sources import ARCHETYPES, SRC, modules, tree_of


def module_of(path: Path) -> Any:
    return importlib.import_module(".".join(path.relative_to(SRC).with_suffix("").parts))


#: Those of each archetype, by its folder.
LISTS: dict[Path, tuple[Concept[Any, Any], ...]] = {
    folder: module_of(folder / "concepts.py").CONCEPTS for folder in ARCHETYPES
}
CONCEPTS = tuple(each for concepts in LISTS.values() for each in concepts)


def files() -> list[Path]:
    """Return the files of rules that end in a concept."""
    return [
        path
        for path in modules("src/perdure/core")
        if any("CONCEPT" in names(statement) for statement in tree_of(path).body)
    ]


def names(statement: ast.stmt) -> Iterator[str]:
    targets = statement.targets if isinstance(statement, ast.Assign) else ()
    target = statement.target if isinstance(statement, ast.AnnAssign) else None
    yield from (each.id for each in (*targets, target) if isinstance(each, ast.Name))


def forgetful(concept: Concept[Any, Any]) -> list[str]:
    """Return what a concept forgets to say: a restart would lose it."""
    pairs: Iterable[tuple[str, Any, Any]] = (
        ("pending_timers", concept.timers, concept.pending_timers),
        ("pending_effects", concept.effects, concept.pending_effects),
    )
    return [hook for hook, has, pending in pairs if bool(has) != (pending is not None)]


@pytest.mark.parametrize("path", files(), ids=lambda path: path.stem)
def test_a_file_of_rules_ends_in_its_concept(path: Path) -> None:
    assert "CONCEPT" in names(tree_of(path).body[-1])
    known = next(concepts for folder, concepts in LISTS.items() if path.is_relative_to(folder))
    assert module_of(path).CONCEPT in known, f"{path.name}: the machine does not know this concept"


@pytest.mark.parametrize("concept", CONCEPTS, ids=lambda each: each.name)
def test_a_concept_gives_what_is_pending(concept: Concept[Any, Any]) -> None:
    assert forgetful(concept) == [], f"{concept.name} has timers or effects that a restart loses"


def test_everything_belongs_to_one_concept() -> None:
    assert len(CONCEPTS) == len(files())
    assert all(len({each.name for each in those}) == len(those) for those in LISTS.values())
    effects = Counter(kind for each in OF_WORKFLOWS for kind in each.effects)
    assert set(effects.values()) == {1}
    repeated = {*QUEUE_TASKS, *OUTGOING_REQUESTS, *OUTBOUND_CALLS} - {DispatchQuery}
    assert set(effects) == repeated, "a query is asked again by its caller, the others by the run"
    assert Counter(kind for each in OF_WORKFLOWS for kind in each.timers) == Counter(TimerKind)


def test_every_effect_is_of_one_family() -> None:
    families = [QUEUE_TASKS, OUTGOING_REQUESTS, OUTBOUND_CALLS, CALLER_ANSWERS]
    assert Counter(kind for family in families for kind in family) == Counter(get_args(Effect))


def test_what_a_concept_forgets_is_seen() -> None:
    """The test of the test."""

    def anything(*_: object) -> Any:
        return []

    assert forgetful(Concept("a")) == []
    assert forgetful(Concept("a", timers={TimerKind.USER_TIMER: anything})) == ["pending_timers"]
    assert forgetful(Concept("a", effects=(int,))) == ["pending_effects"]
    assert forgetful(Concept("a", effects=(int,), pending_effects=anything)) == []
