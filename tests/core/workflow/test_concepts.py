"""A concept that forgets what it relies on fails by its name, in each direction."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import pytest

from perdure.core.workflow.activities import commands
from perdure.core.workflow.concepts import RULES
from perdure.core.workflow.history_step import HistoryStep
from tests.build.commands import schedule_activity, start_timer
from tests.core.workflow.run import OneRun

Break = Callable[[], AbstractContextManager[Any]]


def nothing(*_: object) -> Any:
    return []


def timers_are_not_pending() -> AbstractContextManager[Any]:
    return patch.dict(RULES.pending_timers_of, {"timers": nothing})


def timers_are_not_set() -> AbstractContextManager[Any]:
    return patch.object(HistoryStep, "set_timer", lambda self, timer: None)


def activities_are_not_pending() -> AbstractContextManager[Any]:
    return patch.dict(RULES.pending_effects_of, {"activity attempts": nothing})


def activities_are_not_offered() -> AbstractContextManager[Any]:
    return patch.object(commands, "offer", lambda step, activity: None)


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        (timers_are_not_pending, r"timers: Timer\(.*is set, and not pending"),
        (timers_are_not_set, r"timers: Timer\(.*is pending, and was never set"),
        (activities_are_not_pending, r"activity attempts: .*is emitted, and not pending"),
        (activities_are_not_offered, r"activity attempts: .*is pending, and was never emitted"),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_a_forgetful_concept_fails_by_its_name(breaks: Break, says: str) -> None:
    run = OneRun()
    run.take()
    is_timer = "timers" in breaks.__name__
    command = start_timer("t", 5) if is_timer else schedule_activity("a", "q")
    with breaks(), pytest.raises(AssertionError, match=says):
        run.complete(command)
