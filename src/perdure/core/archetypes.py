"""Every archetype by its number: a new kind of execution is one more line here."""

from collections.abc import Mapping
from typing import Any

from perdure.core.execution.archetype import Archetype
from perdure.core.workflow.archetype import WORKFLOW

_ALL: tuple[Archetype[Any], ...] = (WORKFLOW,)
ARCHETYPES: Mapping[int, Archetype[Any]] = {each.number: each for each in _ALL}
