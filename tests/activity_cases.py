"""Every call of an operator on an activity in every state, with all its timeouts, in a run that is paused or not.

Data only. `tests/core` plays the whole product, `tests/differential` plays every pair of values on two servers.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

#: State → the steps that lead to it, in words that both players know.
#: "fail" is followed by a long wait for the next attempt, "fail soon" by a short one.
STATES: Mapping[str, tuple[str, ...]] = {
    "scheduled": (),
    "backing off": ("poll", "beat", "fail"),
    "scheduled again": ("poll", "fail soon"),
    "started": ("poll", "beat"),
    "started again": ("poll", "fail soon", "poll"),
    "paused": ("pause",),
    "paused while it backs off": ("poll", "beat", "fail", "pause"),
    "paused while it runs": ("poll", "beat", "pause"),
    "paused, failed": ("poll", "beat", "pause", "fail"),
    "asked to stop": ("poll", "cancel"),
    "asked to stop, paused": ("poll", "pause", "cancel"),
    "reset while it runs": ("poll", "beat", "fail soon", "poll", "reset"),
    "reset while it runs paused": ("poll", "beat", "pause", "reset but paused"),
    "changed": ("change",),
    "changed while it backs off": ("poll", "fail", "change"),
    "changed while it runs": ("poll", "change"),
}

#: None of them strikes while a case is played against a server.
_TO_CLOSE = {"schedule_to_close_timeout": "900s"}
_TO_START = {"schedule_to_start_timeout": "800s"}
_BEATS = {"heartbeat_timeout": "70s"}
_ATTEMPT = {"start_to_close_timeout": "90s"}
#: With neither the activity would be refused.
TIMEOUTS: tuple[Mapping[str, str], ...] = tuple(
    {name: value for part in parts for name, value in part.items()}
    for parts in itertools.product(
        ({}, _TO_CLOSE), ({}, _TO_START), ({}, _BEATS), (_ATTEMPT, {"start_to_close_timeout": None})
    )
    if _TO_CLOSE in parts or _ATTEMPT in parts
)
RUN_TIMEOUTS: tuple[Mapping[str, str], ...] = ({}, {"workflow_run_timeout": "1000s"})

RETRY_POLICY: Mapping[str, Any] = {
    "initial_interval": "100s",
    "backoff_coefficient": 2,
    "maximum_interval": "1000s",
    "maximum_attempts": 10,
    "non_retryable_error_types": ["Fatal"],
}


@dataclass(frozen=True, slots=True)
class Call:
    """An operator's call: its kind, and the fields of its request in the JSON form of the API."""

    what: str
    fields: Mapping[str, Any]

    @property
    def name(self) -> str:
        shown = self.fields.get("update_mask") or ",".join(sorted(self.fields))
        return f"{self.what} {shown}".strip()


def _flags(what: str, **flags: Any) -> Iterator[Call]:
    """Yield the call with each subset of `flags`."""
    for chosen in itertools.product((False, True), repeat=len(flags)):
        picked = zip(flags.items(), chosen, strict=True)
        yield Call(what, {name: value for (name, value), is_set in picked if is_set})


#: The options after the change.
_OPTIONS: Mapping[str, Any] = {
    "schedule_to_close_timeout": "850s",
    "schedule_to_start_timeout": "750s",
    "start_to_close_timeout": "80s",
    "heartbeat_timeout": "60s",
    "priority": {"priority_key": 4, "fairness_key": "key", "fairness_weight": 2},
    "retry_policy": {
        "initial_interval": "50s",
        "backoff_coefficient": 3,
        "maximum_interval": "60s",
        "maximum_attempts": 2,
        "non_retryable_error_types": ["Final"],
    },
}
#: The queue is that of the player: it has ids of its own.
QUEUE_MASK = "taskQueue.name"
_MASKS = (
    "scheduleToCloseTimeout",
    "scheduleToStartTimeout",
    "startToCloseTimeout",
    "heartbeatTimeout",
    "priority",
    "priority.priorityKey",
    "priority.fairnessKey",
    "priority.fairnessWeight",
    "retryPolicy",
    "retryPolicy.initialInterval",
    "retryPolicy.backoffCoefficient",
    "retryPolicy.maximumInterval",
    "retryPolicy.maximumAttempts",
    QUEUE_MASK,
    "nothing",
)
JITTER_S = 0.2
CALLS: tuple[Call, ...] = (
    Call("pause", {}),
    *_flags("unpause", reset_attempts=True, reset_heartbeat=True, jitter=f"{JITTER_S}s"),
    *_flags(
        "reset",
        reset_heartbeat=True,
        keep_paused=True,
        restore_original_options=True,
        jitter=f"{JITTER_S}s",
    ),
    Call("change", {"restore_original": True}),
    *(Call("change", {"activity_options": _OPTIONS, "update_mask": mask}) for mask in _MASKS),
)


@dataclass(frozen=True, slots=True)
class Case:
    state: str
    timeouts: Mapping[str, str]
    run_timeouts: Mapping[str, str]
    run_is_paused: bool
    call: Call

    @property
    def name(self) -> str:
        asked_for = {**self.timeouts, **self.run_timeouts}
        timeouts = [name.removesuffix("_timeout") for name, value in asked_for.items() if value]
        where = " in a paused run" if self.run_is_paused else ""
        return f"{self.call.name}: {self.state}{where}, {' '.join(timeouts)}"


_AXES: tuple[tuple[Any, ...], ...] = (tuple(STATES), TIMEOUTS, RUN_TIMEOUTS, (False, True), CALLS)


def every_case() -> Iterator[Case]:
    for values in itertools.product(*_AXES):
        yield Case(*values)


def pairwise() -> list[Case]:
    """Return cases, always the same, in which each value of each axis meets each value of each other axis."""
    chance = Random(1)
    sizes = [len(axis) for axis in _AXES]
    missing = {
        (a, i, b, j)
        for a, b in itertools.combinations(range(len(_AXES)), 2)
        for i in range(sizes[a])
        for j in range(sizes[b])
    }
    cases: list[Case] = []
    while missing:
        a, i, b, j = min(missing)
        tries = []
        for _ in range(20):
            picks = [chance.randrange(size) for size in sizes]
            picks[a], picks[b] = i, j
            tries.append((len(missing & set(_pairs(picks))), picks))
        _, picks = max(tries)
        missing -= set(_pairs(picks))
        cases.append(Case(*(axis[pick] for axis, pick in zip(_AXES, picks, strict=True))))
    return cases


def _pairs(picks: list[int]) -> Iterator[tuple[int, int, int, int]]:
    for (a, i), (b, j) in itertools.combinations(enumerate(picks), 2):
        yield a, i, b, j
