"""Updates and the callers that wait for them. Nothing here outlives a connection.

An update that memory has lost with a lease is asked for again: its id says whether it is known.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from temporalio.api.history.v1 import History

from perdure.core.errors import Code, Rejected, going
from perdure.core.execution.key import ExecutionKey
from perdure.core.workflow.effects import AnswerUpdate
from perdure.core.workflow.updates import ADMITTED, COMPLETED, AdmitUpdate, UpdateStatus, status
from perdure.runtime.shard.cached import CachedExecution
from perdure.runtime.shard.engine import Engine
from perdure.runtime.shard.histories import Histories

RETRY_S = 0.05


@dataclass(frozen=True, slots=True)
class Wait:
    """What a caller waits for, and how long. Deadlines are loop times."""

    #: `UpdateWorkflowExecutionLifecycleStage`.
    stage: int
    #: The caller is gone then.
    deadline: float
    #: The caller is told then how far the update has come.
    soft_deadline: float


@dataclass(frozen=True, slots=True)
class UpdateReply:
    run_id: str
    #: `UpdateWorkflowExecutionLifecycleStage`.
    stage: int
    #: Serialized `Outcome`; empty before it is completed.
    outcome: bytes
    #: It was completed before it was asked for.
    was_done: bool = False


@dataclass(slots=True)
class _Waiting:
    stage: int
    settled: asyncio.Future[AnswerUpdate]


class Updates:
    def __init__(self, engine: Engine, histories: Histories) -> None:
        self._engine = engine
        self._histories = histories
        #: By run id and update id.
        self._waiting: dict[tuple[str, str], list[_Waiting]] = {}
        self._is_draining = False

    async def update(self, key: ExecutionKey, request: AdmitUpdate, wait: Wait) -> UpdateReply:
        """Return once the update has come to the stage that `wait` names, or how far it is. Raises `Rejected`."""
        while True:
            try:
                live = await self._engine.get(key)
                return await self.admit(live, request, wait)
            except Rejected as refusal:
                await self._pause(refusal, wait.deadline)

    async def admit(self, live: CachedExecution, request: AdmitUpdate, wait: Wait) -> UpdateReply:
        """As `update`, of one run: what it refuses is not tried again. Raises `Rejected`."""

        def admit(live: CachedExecution) -> UpdateStatus:
            known = self._engine.advance(live, request)
            assert isinstance(known, UpdateStatus)
            return known

        return await self._follow(live, request.update_id, admit, wait)

    async def poll(self, key: ExecutionKey, update_id: str, wait: Wait) -> UpdateReply:
        def look(live: CachedExecution) -> UpdateStatus:
            known = status(live.run, update_id)
            if known is None:
                raise Rejected(Code.NOT_FOUND, f'update "{update_id}" not found')
            return known

        while True:
            try:
                live = await self._engine.get(key)
                return await self._follow(live, update_id, look, wait)
            except Rejected as refusal:
                await self._pause(refusal, wait.deadline)

    async def _pause(self, refusal: Rejected, deadline: float) -> None:
        """Raise `refusal` unless the next try may end otherwise."""
        if (
            refusal.code is not Code.UNAVAILABLE
            or self._is_draining
            or asyncio.get_running_loop().time() + RETRY_S > deadline
        ):
            raise refusal
        await asyncio.sleep(RETRY_S)

    async def _follow(
        self,
        live: CachedExecution,
        update_id: str,
        ask: Callable[[CachedExecution], UpdateStatus],
        wait: Wait,
    ) -> UpdateReply:
        """Wait for an update of one run. `ask` is called at once, after this caller is known to wait."""
        if self._is_draining:
            raise going()
        loop = asyncio.get_running_loop()
        run_id = live.key.run_id
        waiting = _Waiting(wait.stage, loop.create_future())
        name = (run_id, update_id)
        self._waiting.setdefault(name, []).append(waiting)
        try:
            known = await self._engine.answer(live, lambda: ask(live))
            if known.stage == COMPLETED:
                outcome = await self._outcome(live, known)
                return UpdateReply(run_id, COMPLETED, outcome, was_done=True)
            if known.stage >= wait.stage:
                return UpdateReply(run_id, known.stage, b"")
            until = min(wait.deadline, wait.soft_deadline)
            async with asyncio.timeout_at(until):
                settled = await waiting.settled
        except TimeoutError:
            if wait.deadline <= wait.soft_deadline:
                raise Rejected(Code.DEADLINE_EXCEEDED, "context deadline exceeded") from None
            now = await self._engine.answer(live, lambda: status(live.run, update_id) or known)
            outcome = await self._outcome(live, now) if now.stage == COMPLETED else b""
            return UpdateReply(run_id, now.stage, outcome)
        finally:
            others = self._waiting[name]
            others.remove(waiting)
            if not others:
                del self._waiting[name]
        if settled.refusal is not None:
            raise settled.refusal
        return UpdateReply(run_id, settled.stage, settled.outcome)

    async def _outcome(self, live: CachedExecution, known: UpdateStatus) -> bytes:
        if known.outcome:
            return known.outcome
        event_id = known.completed_event_id
        page = await self._histories.page(live, event_id, event_id + 1, events_max=1)
        [event] = History.FromString(page.events).events
        outcome: bytes = (
            event.workflow_execution_update_completed_event_attributes.outcome.SerializeToString()
        )
        return outcome

    # What the engine tells

    def notify(self, key: ExecutionKey, effect: AnswerUpdate) -> None:
        for waiting in self._waiting.get((key.run_id, effect.update_id), ()):
            reached = effect.refusal is not None or effect.stage >= waiting.stage
            if reached and not waiting.settled.done():
                waiting.settled.set_result(effect)

    def forget(self) -> None:
        """Memory is thrown away: who waits must ask again."""
        self._refuse(Rejected(Code.UNAVAILABLE, "workflow update was aborted"))

    def drain(self) -> None:
        """Refuse all who wait: no worker can answer any more. Asked again, an update that was accepted goes on."""
        self._is_draining = True
        self._refuse(going())

    def _refuse(self, refusal: Rejected) -> None:
        for (_, update_id), others in self._waiting.items():
            for waiting in others:
                if not waiting.settled.done():
                    waiting.settled.set_result(AnswerUpdate(update_id, ADMITTED, b"", refusal))
