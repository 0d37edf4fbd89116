"""Watches the event loop of a server: how late it is, and whether there is more work than it can do.

A burst makes the loop late for some seconds, and all of it is answered. Only a node that has been late for long, at
every look, is overloaded: its callers give up before it has done what they ask for. It then refuses to start new work,
and goes on with the work that there is.
"""

import asyncio
from collections.abc import Callable
from time import monotonic

import structlog

from perdure.metrics.registry import Registry

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.25
#: A node that takes longer than this to begin what is ready, or to commit, is late. SDKs give a call 10 s.
LATE_S = 5.0
#: A node is overloaded once it has been late at every look for so long.
OVERLOADED_AFTER_S = 15.0


class LoopWatch:
    def __init__(
        self,
        metrics: Registry,
        commit_age_s: Callable[[], float],
        now: Callable[[], float] = monotonic,
    ) -> None:
        """`commit_age_s` returns how long the oldest change has waited for its commit. `now` is in seconds."""
        self._lag = metrics.histogram("perdure_loop_lag_seconds")
        metrics.gauge("perdure_loop_silent_seconds", lambda: [((), self.silent_s)])
        metrics.gauge("perdure_overloaded", lambda: [((), int(self.is_overloaded()))])
        self._commit_age_s = commit_age_s
        self._now = now
        self._looked_at_s = now()
        #: It has been late at every look since then.
        self._late_since_s: float | None = None
        self._is_reported = False

    @property
    def silent_s(self) -> float:
        """How long ago the loop turned last, as far as that is known. Any thread may ask."""
        return max(0.0, self._now() - self._looked_at_s)

    def is_overloaded(self) -> bool:
        """Whether new work should be refused for now."""
        late_since_s = self._late_since_s
        return late_since_s is not None and self._now() - late_since_s >= OVERLOADED_AFTER_S

    async def watch(self) -> None:
        """Look again and again, for ever."""
        while True:
            due_at_s = self._now() + LOOK_EVERY_S
            await asyncio.sleep(LOOK_EVERY_S)
            self._look(max(0.0, self._now() - due_at_s))

    def _look(self, lag_s: float) -> None:
        self._looked_at_s = now_s = self._now()
        self._lag.observe(lag_s)
        commit_age_s = self._commit_age_s()
        if lag_s <= LATE_S and commit_age_s <= LATE_S:
            self._late_since_s = None
            if self._is_reported:
                log.warning("this node is not overloaded any more")
            self._is_reported = False
        elif self._late_since_s is None:
            self._late_since_s = now_s
        if self.is_overloaded() and not self._is_reported:
            log.error(
                "this node is overloaded: it starts no new work",
                lag_s=lag_s,
                commit_age_s=commit_age_s,
            )
            self._is_reported = True
