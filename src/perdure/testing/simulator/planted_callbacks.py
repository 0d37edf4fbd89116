"""Bugs on purpose in completion callbacks; see `planted.py`."""

import asyncio
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from perdure.core.execution.outcome import Outcome, TimerKind
from perdure.core.workflow import callbacks, concepts, machine, options_update
from perdure.core.workflow.callbacks import RecordAttempt
from perdure.core.workflow.effects import InvokeCallback
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.lifecycle import next_run
from perdure.core.workflow.nexus_completion import Verdict
from perdure.core.workflow.records import CallbackAttempted
from perdure.core.workflow.state import RunState
from perdure.runtime.delivery.circuit_breaker import Breaker
from perdure.runtime.delivery.outbound import OutboundCalls
from perdure.runtime.shard.cached import CachedExecution
from perdure.runtime.shard.engine import Engine

Plant = Callable[[], Any]


def _invoked_before_it_is_durable() -> Any:
    original = Engine._carry_out

    def carry_out(self: Engine, live: CachedExecution, outcome: Outcome) -> None:
        self._send(live, [each for each in outcome.effects if isinstance(each, InvokeCallback)])
        original(self, live, outcome)

    return patch.object(Engine, "_carry_out", carry_out)


def _not_pending_after_a_restart() -> Any:
    return patch.object(callbacks, "_pending_numbers", lambda state, now_ns: iter(()))


def _retry_is_forgotten_after_a_restart() -> Any:
    return patch.dict(
        concepts.RULES.pending_timers_of, {callbacks.CONCEPT.name: lambda run, now_ns: []}
    )


def _is_not_tried_again() -> Any:
    return patch.dict(machine.TIMERS, {TimerKind.CALLBACK_RETRY: lambda step, timer: None})


def _one_attempt_is_enough() -> Any:
    """A receiver that does not take it is given up."""
    original = machine.REQUESTS[RecordAttempt]

    def record(step: HistoryStep, request: RecordAttempt) -> Any:
        return original(
            step,
            RecordAttempt(request.number, request.attempt, request.failure, False, request.chance),
        )

    return patch.dict(machine.REQUESTS, {RecordAttempt: record})


def _lost_answer_counts() -> Any:
    """A receiver that does not answer is taken to have heard."""
    original = OutboundCalls._invoke

    async def invoke(self: OutboundCalls, *arguments: Any) -> Verdict:
        verdict = await original(self, *arguments)
        return Verdict("") if verdict.failure.startswith("Post ") else verdict

    return patch.object(OutboundCalls, "_invoke", invoke)


def _end_of_an_attempt_is_not_recorded() -> Any:
    return patch.dict(machine.REQUESTS, {RecordAttempt: lambda step, request: None})


def _attempt_is_not_persisted() -> Any:
    original = machine.transition

    def transition(run: Any, request: Any, **others: Any) -> Outcome:
        outcome = original(run, request, **others)
        if isinstance(request, RecordAttempt):
            outcome.events = outcome.internal = b""
        return outcome

    return patch("perdure.core.workflow.machine.transition", transition)


def _next_run_has_no_callbacks() -> Any:
    original = next_run.inherited

    def inherited(*arguments: Any) -> Any:
        new = original(*arguments)
        del new.completion_callbacks[:]
        return new

    return patch.object(next_run, "inherited", inherited)


def _invoked_for_a_run_that_goes_on() -> Any:
    return patch.object(callbacks, "is_triggered", lambda state: state.exists and not state.is_open)


def _attached_callbacks_are_lost() -> Any:
    def updated(state: RunState, event: Any) -> None:
        del event.workflow_execution_options_updated_event_attributes.attached_completion_callbacks[
            :
        ]
        options_update.updated(state, event)

    kinds = {
        kind for kind, applier in machine.APPLIERS.items() if applier is options_update.updated
    }
    return patch.dict(machine.APPLIERS, dict.fromkeys(kinds, updated))


def _refusal_is_not_for_good() -> Any:
    """A receiver that refuses is asked for ever."""
    original = machine.APPLIERS[CallbackAttempted]

    def attempted(state: RunState, record: CallbackAttempted) -> None:
        original(state, record)
        state.callbacks[record.number].is_done = not record.failure

    return patch.dict(machine.APPLIERS, {CallbackAttempted: attempted})


def _nobody_is_left_alone() -> Any:
    return patch.object(Breaker, "failed", lambda self, period, now: self.abandoned(period))


def _all_ask_at_once() -> Any:
    """When a receiver has been left alone for long enough, all that waits goes to it."""

    async def wait(self: Breaker, now: Callable[[], float]) -> int:
        while self._open_until is not None and now() < self._open_until:  # noqa: ASYNC110
            await asyncio.sleep(self._open_until - now())
        return self._period

    return patch.object(Breaker, "wait", wait)


def _another_counts_as_the_probe() -> Any:
    """A request from before it was left alone ends while the probe is under way, and counts as the probe."""
    succeeded, failed = Breaker.succeeded, Breaker.failed
    return patch.multiple(
        Breaker,
        succeeded=lambda self, _: succeeded(self, self._period),
        failed=lambda self, _, now: failed(self, self._period, now),
    )


def _left_alone_for_ever() -> Any:
    original = Breaker.failed

    def failed(self: Breaker, period: int, now: float) -> bool:
        opens = original(self, period, now)
        if opens:
            self._open_until = now + 1e9
        return opens

    return patch.object(Breaker, "failed", failed)


CALLBACKS: dict[str, Plant] = {
    "a callback is invoked for what is not durable": _invoked_before_it_is_durable,
    "a callback is not pending after a restart": _not_pending_after_a_restart,
    "a callback's retry is forgotten after a restart": _retry_is_forgotten_after_a_restart,
    "a callback is not tried again": _is_not_tried_again,
    "a callback that fails is given up": _one_attempt_is_enough,
    "a callback without an answer counts as done": _lost_answer_counts,
    "the end of a callback's attempt is not recorded": _end_of_an_attempt_is_not_recorded,
    "the end of a callback's attempt is not persisted": _attempt_is_not_persisted,
    "the next run has no callbacks": _next_run_has_no_callbacks,
    "a callback is invoked for a run that goes on": _invoked_for_a_run_that_goes_on,
    "callbacks that are attached later are lost": _attached_callbacks_are_lost,
    "a receiver that refuses is asked for ever": _refusal_is_not_for_good,
    "a receiver that fails is not left alone": _nobody_is_left_alone,
    "a receiver is asked by all at once whether it is back": _all_ask_at_once,
    "a receiver is left alone for ever": _left_alone_for_ever,
}

#: It has to end while the probe is under way.
RARELY_NOTICED: dict[str, Plant] = {
    "another request counts as the probe": _another_counts_as_the_probe,
}
