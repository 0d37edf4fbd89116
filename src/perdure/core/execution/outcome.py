"""The decisions of one transition. These types are the border between the core and the runtime."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

from perdure.core.execution.request import Request


class TimerKind(IntEnum):
    """The purpose of a workflow's timer. Each archetype has an enum of its own.

    Kept out of the journal: timers are computed from the state again after a restart.
    """

    FIRST_TASK = 1
    RUN_TIMEOUT = 2
    EXECUTION_TIMEOUT = 3
    WORKFLOW_TASK_TIMEOUT = 4
    STICKY_SCHEDULE_TO_START = 5
    USER_TIMER = 6
    ACTIVITY_RETRY = 7
    # Temporal: of timeouts that are due at one time, the first in this order wins.
    ACTIVITY_START_TO_CLOSE = 8
    ACTIVITY_SCHEDULE_TO_START = 9
    ACTIVITY_SCHEDULE_TO_CLOSE = 10
    ACTIVITY_HEARTBEAT = 11
    CALLBACK_RETRY = 12


class Timer(NamedTuple):
    """A request to be called back at `fire_at_ns`. It may be stale when it fires."""

    fire_at_ns: int
    #: A member of the archetype's enum. The lower kind goes first if several timers are due at one time.
    kind: IntEnum
    #: The event (scheduled or started) that it belongs to; 0 for the execution's own.
    event_id: int
    #: Attempt of the workflow task or activity; 0 where there are none.
    attempt: int


#: Each kind of execution has effects of its own.
Effect = Any


@dataclass(frozen=True, slots=True)
class NewRun:
    """The execution goes on as a new run of its business id, created in the same commit and begun by `start`."""

    run_id: str
    start: Request[None]


@dataclass(slots=True)
class Outcome:
    """The work of the runtime after a transition, in two steps that must not be swapped.

    First it writes the journal row (if there is one) and creates `new_run`, in one transaction. Only once that is
    durable may it act on `reply` and deliver the effects: nobody may learn of a state that a crash can still undo.
    `timers` may be set at once: a stale one does nothing.
    """

    #: Encoded as in `store.port.JournalRow`. Both empty: nothing was recorded.
    first_event_id: int
    event_count: int
    events: bytes
    internal: bytes
    timers: list[Timer]
    effects: list[Effect]
    reply: object
    new_run: NewRun | None
    #: Lists must show something new: search attributes or memo changed.
    shows: bool = False

    @property
    def is_recorded(self) -> bool:
        return bool(self.events or self.internal)
