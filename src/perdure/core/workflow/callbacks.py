"""Somebody outside wants to know how the workflow ends, and is called once it has, again and again, until he takes it.

A run that goes on as another one hands its callbacks on. The message, and the meaning of the answer, are in
`nexus_completion.py`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from temporalio.api.common.v1 import Callback
from temporalio.api.failure.v1 import Failure

from perdure.core.errors import Code, Rejected
from perdure.core.execution.concept import Concept
from perdure.core.execution.outcome import Effect, Timer, TimerKind
from perdure.core.execution.request import Request
from perdure.core.limits import Limits
from perdure.core.workflow.effects import InvokeCallback
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.nexus_completion import completion
from perdure.core.workflow.records import CallbackAttempted
from perdure.core.workflow.state import CompletionCallback, Run, RunState

_BACKOFF_COEFFICIENT = 2
#: Temporal: which part of an interval is left to chance.
_JITTER = 0.2
_CALLBACK_BYTES = 50

# What can be asked


@dataclass(frozen=True, slots=True)
class RecordAttempt(Request[None]):
    """An attempt to invoke a callback has ended; `number` and `attempt` are those of the `InvokeCallback`."""

    number: int
    attempt: int
    #: Empty: it succeeded.
    failure: str
    may_retry: bool
    #: Drawn at random, 0 <= chance < 1.
    chance: float


def record_attempt(step: HistoryStep, request: RecordAttempt) -> None:
    state = step.state
    if request.number >= len(state.callbacks):
        return
    callback = state.callbacks[request.number]
    if not is_due(state, callback) or callback.is_done or callback.attempt != request.attempt:
        return  # Another one has been recorded.
    if not request.failure:
        step.record_internal(CallbackAttempted(request.number, step.now_ns))
        return
    failure = Failure(message=request.failure)
    failure.application_failure_info.non_retryable = not request.may_retry
    next_attempt_at_ns = 0
    if request.may_retry:
        interval_ns = _interval_ns(callback.attempt, request.chance, step.environment.limits)
        next_attempt_at_ns = step.now_ns + interval_ns
    step.record_internal(
        CallbackAttempted(
            request.number,
            step.now_ns,
            failure.SerializeToString(deterministic=True),
            next_attempt_at_ns,
        )
    )
    if next_attempt_at_ns:
        step.set_timer(_timer(request.number, callback))


def _interval_ns(attempt: int, chance: float, limits: Limits) -> int:
    """Return the time after an attempt; `attempt` have ended before it."""
    # More doublings than that exceed every maximum.
    longest = limits.callback_retry_initial_ns * _BACKOFF_COEFFICIENT ** min(attempt, 63)
    longest = min(longest, limits.callback_retry_max_ns)
    return int(longest * (1 - _JITTER + _JITTER * chance))


def retry(step: HistoryStep, timer: Timer) -> None:
    state, number = step.state, timer.event_id
    if number >= len(state.callbacks) or not is_due(state, state.callbacks[number]):
        return
    callback = state.callbacks[number]
    if _timer(number, callback) == timer and not callback.is_done:
        step.emit(completion(state, number))


# What other concepts use


def attached(
    callbacks: Iterable[Callback], request_id: str, at_ns: int, update_id: str = ""
) -> list[CompletionCallback]:
    return [
        CompletionCallback(
            callback.SerializeToString(deterministic=True), at_ns, request_id, update_id=update_id
        )
        for callback in callbacks
    ]


def check_count(state: RunState, more: int, limits: Limits) -> None:
    """Refuse to attach `more` callbacks if that makes too many."""
    if more and len(state.callbacks) + more > limits.max_callbacks:
        raise Rejected(
            Code.FAILED_PRECONDITION,
            f"cannot attach more than {limits.max_callbacks} callbacks to a workflow"
            f" ({len(state.callbacks)} callbacks already attached)",
        )


def end_update(state: RunState, update_id: str, outcome: bytes, at_ns: int = 0) -> None:
    """Note what has come of an update. To be called where records change the state."""
    for callback in state.callbacks:
        if callback.update_id == update_id and not callback.outcome:
            callback.outcome, callback.outcome_at_ns = outcome, at_ns


def tell_of_update(step: HistoryStep, update_id: str) -> None:
    """An update has come to an end: invoke what waits for that."""
    for number, callback in enumerate(step.state.callbacks):
        if callback.update_id == update_id and not (callback.attempt or callback.is_done):
            step.emit(completion(step.state, number))


def on_close(step: HistoryStep) -> None:
    """The run has closed."""
    for number in _pending_numbers(step.state, step.now_ns):
        if not step.state.callbacks[number].outcome:  # Otherwise it was sent when that was known.
            step.emit(completion(step.state, number))


def is_triggered(state: RunState) -> bool:
    """Whether the callbacks are to be invoked: the run has closed, and the workflow does not go on."""
    goes_on = state.new_run_id or (state.made_way and not state.made_way_for_another)
    return state.exists and not (state.is_open or goes_on)


def is_due(state: RunState, callback: CompletionCallback) -> bool:
    """Whether a callback is to be invoked. One that waits for an update waits no longer than the run is open."""
    if callback.update_id:
        made_way = state.made_way and not state.made_way_for_another
        return bool(callback.outcome) or (state.exists and not state.is_open and not made_way)
    return is_triggered(state)


# How records change the state


def attempted(state: RunState, record: CallbackAttempted) -> None:
    callback = state.callbacks[record.number]
    callback.attempt += 1
    callback.last_attempt_at_ns = record.at_ns
    callback.last_failure = record.failure
    callback.next_attempt_at_ns = record.next_attempt_at_ns
    callback.is_done = not record.next_attempt_at_ns
    is_known = state.parent is None or state.parent_notified
    if is_known and all(each.is_done or each.update_id for each in state.callbacks):
        state.close_event = b""


# What must hold


def check(run: Run) -> None:
    state = run.state
    for callback in state.callbacks:
        assert is_due(state, callback) or not callback.attempt
        assert not (callback.is_done and callback.next_attempt_at_ns)
    if is_triggered(state) and not all(each.is_done or each.update_id for each in state.callbacks):
        assert state.close_event


def pending_timers(run: Run, now_ns: int) -> list[Timer]:
    return [
        _timer(number, callback)
        for number, callback in enumerate(run.state.callbacks)
        if callback.next_attempt_at_ns > now_ns
    ]


def pending_effects(run: Run, now_ns: int) -> Iterator[Effect]:
    for number in _pending_numbers(run.state, now_ns):
        yield completion(run.state, number)


def _pending_numbers(state: RunState, now_ns: int) -> Iterator[int]:
    for number, callback in enumerate(state.callbacks):
        if callback.is_done or callback.next_attempt_at_ns > now_ns:
            continue
        if is_due(state, callback):
            yield number


def _timer(number: int, callback: CompletionCallback) -> Timer:
    return Timer(callback.next_attempt_at_ns, TimerKind.CALLBACK_RETRY, number, callback.attempt)


def size(run: Run) -> int:
    return sum(
        _CALLBACK_BYTES + len(each.callback) + len(each.last_failure) + len(each.outcome)
        for each in run.state.callbacks
    )


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "callbacks",
    check=check,
    requests={RecordAttempt: record_attempt},
    timers={TimerKind.CALLBACK_RETRY: retry},
    appliers={CallbackAttempted: attempted},
    on_close=on_close,
    pending_timers=pending_timers,
    effects=(InvokeCallback,),
    pending_effects=pending_effects,
    outlives_close=True,
    size=size,
)
