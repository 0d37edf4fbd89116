"""The promises of concepts: what one asks for or sends it says is pending, at that very moment.

A concept that sets a timer or emits an effect and does not give it as pending loses it in a restart. The scripts of the
core and the simulator check the other direction after each step: everything pending was asked for. Each fault names the
concept.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from perdure.core.execution.concept import Concept, Rules
from perdure.core.execution.outcome import Effect, Timer
from perdure.core.workflow.concepts import RULES
from perdure.core.workflow.history_step import HistoryStep


@contextmanager
def held_to(fault: Callable[[str], None]) -> Iterator[None]:
    """Have every step of a workflow call `fault` with what it asks for and does not say is pending."""
    set_timer, emit = HistoryStep.set_timer, HistoryStep.emit

    def checked_timer(self: HistoryStep, timer: Timer) -> None:
        # A timer that is due already is followed by what it brings about: that is pending instead.
        is_to_come = timer.fire_at_ns > self.now_ns
        if is_to_come and timer not in RULES.pending_timers(self.run, self.now_ns):
            fault(f"{concept_of(timer)}: {timer} is set, and not pending")
        set_timer(self, timer)

    def checked_effect(self: HistoryStep, effect: Effect) -> None:
        concept = concept_of(effect)
        if concept and effect not in RULES.pending_effects(self.run, self.now_ns):
            fault(f"{concept}: {effect} is emitted, and not pending")
        emit(self, effect)

    with (
        patch.object(HistoryStep, "set_timer", checked_timer),
        patch.object(HistoryStep, "emit", checked_effect),
    ):
        yield


def concept_of(asked: Timer | Effect, rules: Rules[Any, Any] = RULES) -> str:
    """Return the name of the concept that a timer or effect belongs to.

    An effect that is emitted once, to a caller who waits for it, belongs to none: "".
    """

    def owns(concept: Concept[Any, Any]) -> bool:
        if isinstance(asked, Timer):
            return asked.kind in concept.timers
        return type(asked) in concept.effects

    return next((each.name for each in rules.concepts if owns(each)), "")
