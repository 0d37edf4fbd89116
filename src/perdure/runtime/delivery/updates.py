"""Has callers wait until their updates come to a stage. Nothing here outlives a connection.

The node asks again for an update that memory has lost with a lease: the run knows it by its id.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from temporalio.api.history.v1 import History

from perdure.core.errors import Code, Rejected, going
from perdure.core.execution.key import ExecutionKey
from perdure.core.workflow.effects import AnswerUpdate
from perdure.core.workflow.start_workflow import StartReply, StartWorkflow
from perdure.core.workflow.updates import ADMITTED, COMPLETED, AdmitUpdate, UpdateStatus
from perdure.core.workflow.views import ReadUpdate
from perdure.runtime.executions import Answer, Executions
from perdure.runtime.replies import StartFailed, UpdateFailed

RETRY_S = 0.05


@dataclass(frozen=True, slots=True)
class Wait:
    """The stage that a caller waits for, and how long. Deadlines are loop times."""

    #: `UpdateWorkflowExecutionLifecycleStage`.
    stage: int
    #: The caller is gone then.
    deadline: float
    #: The caller learns then how far the update has come.
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


class _WaitingUpdate:
    """A caller that waits for one update of a workflow id; it learns later which run has it."""

    __slots__ = ("answered", "arrived", "run_id", "stage")

    def __init__(self, stage: int) -> None:
        self.stage = stage
        self.run_id = ""
        self.answered: asyncio.Future[AnswerUpdate] = asyncio.get_running_loop().create_future()
        #: Answers from before the run was known, by run id.
        self.arrived: dict[str, AnswerUpdate] = {}

    def hear(self, run_id: str, effect: AnswerUpdate) -> None:
        if effect.refusal is None and effect.stage < self.stage:
            return
        if not self.run_id:
            self.arrived[run_id] = effect
        elif run_id == self.run_id and not self.answered.done():
            self.answered.set_result(effect)

    def expect(self, run_id: str) -> None:
        """The run is known now: take its answer if that has arrived."""
        self.run_id = run_id
        if run_id in self.arrived:
            self.hear(run_id, self.arrived[run_id])


class Updates:
    def __init__(self, executions: Executions) -> None:
        self._executions = executions
        #: By namespace id, workflow id and update id.
        self._waiting: dict[tuple[str, str, str], list[_WaitingUpdate]] = {}
        self._is_draining = False

    async def update(self, key: ExecutionKey, request: AdmitUpdate, wait: Wait) -> UpdateReply:
        """Return once the update has come to the stage that `wait` names, or how far it is. Raises `Rejected`."""
        return await self._wait(
            key, request.update_id, wait, lambda: self._executions.ask(key, request)
        )

    async def update_with_start(
        self, key: ExecutionKey, start: StartWorkflow, wait: Wait
    ) -> tuple[StartReply, UpdateReply]:
        """Update the current run, or start one and update it, in one step. Raises `StartFailed` or `UpdateFailed`."""
        assert start.update is not None
        update_id = start.update.update_id
        with self._listening(key, update_id, wait.stage) as waiting:
            try:
                reply, run = await self._executions.ask(key, start)
            except Rejected as refusal:
                raise StartFailed(refusal) from refusal
            try:
                if isinstance(reply.update, Rejected):
                    raise reply.update
                assert reply.update is not None
                admitted = Answer(reply.update, run)
                return reply, await self._follow(admitted, update_id, waiting, wait)
            except Rejected as refusal:
                raise UpdateFailed(refusal, started=reply.started) from refusal

    async def poll(self, key: ExecutionKey, update_id: str, wait: Wait) -> UpdateReply:
        """As `update`, of one that was sent before. Raises `Rejected`."""
        view = ReadUpdate(update_id)
        return await self._wait(key, update_id, wait, lambda: self._executions.read(key, view))

    async def _wait(
        self,
        key: ExecutionKey,
        update_id: str,
        wait: Wait,
        ask: Callable[[], Awaitable[Answer[UpdateStatus]]],
    ) -> UpdateReply:
        """Ask for an update and wait for it, again and again while memory is lost."""
        while True:
            try:
                with self._listening(key, update_id, wait.stage) as waiting:
                    return await self._follow(await ask(), update_id, waiting, wait)
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

    @contextmanager
    def _listening(self, key: ExecutionKey, update_id: str, stage: int) -> Iterator[_WaitingUpdate]:
        """Have a caller hear of an update from now on. Raises `Rejected` while the node drains."""
        if self._is_draining:
            raise going()
        name = (key.namespace_id, key.business_id, update_id)
        waiting = _WaitingUpdate(stage)
        self._waiting.setdefault(name, []).append(waiting)
        try:
            yield waiting
        finally:
            others = self._waiting[name]
            others.remove(waiting)
            if not others:
                del self._waiting[name]

    async def _follow(
        self, known: Answer[UpdateStatus], update_id: str, waiting: _WaitingUpdate, wait: Wait
    ) -> UpdateReply:
        """Wait until an update that was admitted comes to the stage that `wait` names."""
        status, key = known
        if status.stage == COMPLETED:
            return UpdateReply(
                key.run_id, COMPLETED, await self._outcome(key, status), was_done=True
            )
        if status.stage >= wait.stage:
            return UpdateReply(key.run_id, status.stage, b"")
        waiting.expect(key.run_id)
        try:
            async with asyncio.timeout_at(min(wait.deadline, wait.soft_deadline)):
                answered = await waiting.answered
        except TimeoutError:
            if wait.deadline <= wait.soft_deadline:
                raise Rejected(Code.DEADLINE_EXCEEDED, "context deadline exceeded") from None
            return await self._how_far(key, update_id, status)
        if answered.refusal is not None:
            raise answered.refusal
        return UpdateReply(key.run_id, answered.stage, answered.outcome)

    async def _how_far(self, key: ExecutionKey, update_id: str, known: UpdateStatus) -> UpdateReply:
        """Return how far an update is now; `known` if nothing is known of it any more."""
        try:
            known = (await self._executions.read(key, ReadUpdate(update_id))).reply
        except Rejected as refusal:
            if refusal.code is not Code.NOT_FOUND:
                raise
        outcome = await self._outcome(key, known) if known.stage == COMPLETED else b""
        return UpdateReply(key.run_id, known.stage, outcome)

    async def _outcome(self, key: ExecutionKey, known: UpdateStatus) -> bytes:
        if known.outcome:
            return known.outcome
        event_id = known.completed_event_id
        page = await self._executions.page(key, event_id, event_id + 1, events_max=1)
        [event] = History.FromString(page.events).events
        outcome: bytes = (
            event.workflow_execution_update_completed_event_attributes.outcome.SerializeToString()
        )
        return outcome

    # Effects

    def notify(self, key: ExecutionKey, effect: AnswerUpdate) -> None:
        """An update has come to a stage that its callers may wait for."""
        name = (key.namespace_id, key.business_id, effect.update_id)
        for waiting in self._waiting.get(name, ()):
            waiting.hear(key.run_id, effect)

    def forget(self) -> None:
        """Refuse all callers, since memory is thrown away: they ask again."""
        self._refuse(Rejected(Code.UNAVAILABLE, "workflow update was aborted"))

    def drain(self) -> None:
        """Refuse all callers: no worker can answer any more. Asked again, an update that was accepted goes on."""
        self._is_draining = True
        self._refuse(going())

    def _refuse(self, refusal: Rejected) -> None:
        for (_, _, update_id), others in self._waiting.items():
            for waiting in others:
                if not waiting.answered.done():
                    waiting.answered.set_result(AnswerUpdate(update_id, ADMITTED, b"", refusal))
