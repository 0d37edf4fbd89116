"""The stage with the core alone: no frontend, no store, no node. Stories call it as a server.

It carries out outcomes as a node would, in the plainest way: runs are kept by workflow id, tasks in lists, timers on the
virtual loop. `core_calls` says what each call means. Every run is a `OneRun`, which checks between any two steps what the core
promises.
"""

import asyncio
import itertools
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf.message import Message
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import ParentClosePolicy
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.errors import Code, Rejected
from perdure.core.limits import Limits
from perdure.core.workflow.cancellation import RequestCancel
from perdure.core.workflow.child_start import start_request, with_parent
from perdure.core.workflow.children import (
    AcknowledgeChildReleased,
    AcknowledgeParentNotified,
    RecordChildClosed,
    RecordChildStarted,
)
from perdure.core.workflow.effects import (
    AnswerQuery,
    AnswerUpdate,
    DispatchActivityTask,
    DispatchQuery,
    DispatchWorkflowTask,
    Effect,
    ReleaseChild,
    StartChild,
    TellParent,
)
from perdure.core.workflow.events import HISTORY_SERVICE
from perdure.core.workflow.lifecycle.close import Terminate
from perdure.core.workflow.lifecycle.reset import Rebuild
from perdure.core.workflow.lifecycle.start_policy import Start, started_attributes
from tests.core.workflow.run import T0_NS, OneRun
from tests.differential.wire import Refusal
from tests.stories.core_calls import CALLS, NAMESPACE_ID, NOTHING_TO_DO

T = TypeVar("T")


class CoreServer:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ids = itertools.count(1)
        self._nonces = itertools.count(1)
        self._happened = asyncio.Event()
        self.limits = Limits()
        #: By workflow id, oldest first.
        self.runs: dict[str, list[OneRun]] = defaultdict(list)
        #: Effects that have been carried out, by run id.
        self._done: dict[str, int] = defaultdict(int)
        #: Offers of tasks, by the effect's kind and queue.
        self._offers: dict[tuple[str, str], deque[tuple[OneRun, Any]]] = defaultdict(deque)
        #: By task token, what it stands for.
        self._tokens: dict[bytes, Any] = {}
        self.answers: dict[str, AnswerQuery] = {}
        self.updates: dict[tuple[str, str], AnswerUpdate] = {}

    async def call(self, request: Message, *, timeout: float | None, **_: Any) -> Any:
        """As `Wire.call`: return the reply, or a `Refusal`."""
        nothing = NOTHING_TO_DO.get(type(request))
        patience_s = timeout if timeout is None or nothing is None else timeout - 1
        try:
            async with asyncio.timeout(patience_s):
                return await CALLS[type(request)](self, request)
        except Rejected as refusal:
            return Refusal(refusal.code.name, refusal.message, ())
        except TimeoutError:
            return nothing() if nothing else Refusal("DEADLINE_EXCEEDED", "", ())

    # For the calls

    @property
    def now_ns(self) -> int:
        return T0_NS + round(self._loop.time() * 1e6) * 1000

    def fresh_id(self) -> str:
        return f"00000000-0000-4000-8000-{next(self._ids):012}"

    def fresh_nonce(self) -> int:
        return next(self._nonces)

    def run(self, execution: WorkflowExecution, first_run_id: str = "") -> OneRun:
        """Return the run that `execution` names: the current one if it names none."""
        wanted = "" if first_run_id else execution.run_id
        for run in reversed(self.runs[execution.workflow_id]):
            if wanted in ("", run.state.run_id):
                self._catch_up(run)
                return run
        raise Rejected(Code.NOT_FOUND, f"workflow not found for ID: {execution.workflow_id}")

    def begin(self, start: Start | Rebuild) -> OneRun:
        run = OneRun(
            limits=self.limits, started=start, begins_ns=self.now_ns, fresh_id=self.fresh_id
        )
        self.runs[start.workflow_id].append(run)
        self._carry_out(run)
        return run

    def ask(self, run: OneRun, request: object) -> Any:
        self._catch_up(run)
        try:
            return run.ask(request)
        finally:
            self._carry_out(run)

    def token(self, stands_for: Any) -> bytes:
        token = self.fresh_id().encode()
        self._tokens[token] = stands_for
        return token

    def of_token(self, token: bytes) -> Any:
        return self._tokens[token]

    def answer(self, answer: AnswerQuery) -> None:
        self.answers[answer.query_id] = answer
        self._tell()

    async def offer(self, kind: str, queue: str) -> tuple[OneRun, Any]:
        """Wait for a task. It may be stale."""
        offers = self._offers[kind, queue]
        return await self.until(lambda: offers.popleft() if offers else None)

    async def until(self, look: Callable[[], T | None]) -> T:
        """Wait until there is what `look` looks for."""
        while (found := look()) is None:
            await self._happened.wait()
        return found

    # After a step

    def _catch_up(self, run: OneRun, until_ns: int = 0) -> None:
        """Let the time of a run be that of the loop."""
        run.wait((max(until_ns, self.now_ns) - run.now_ns) / 1e9)

    def _fire(self, run: OneRun, due_ns: int) -> None:
        self._catch_up(run, due_ns)
        self._carry_out(run)

    def _carry_out(self, run: OneRun) -> None:
        run_id = run.state.run_id
        effects = run.effects[self._done[run_id] :]
        self._done[run_id] += len(effects)
        if run.new_run is not None:
            new, run.new_run = run.new_run, None
            assert isinstance(new.start, Start)
            self.begin(new.start)
        for effect in effects:
            self._deliver(run, effect)
        if run.timers:
            due_ns = run.timers[0].fire_at_ns
            self._loop.call_at((due_ns - T0_NS) / 1e9, self._fire, run, due_ns)
        self._tell()

    def _tell(self) -> None:
        """Let all who wait look again."""
        self._happened.set()
        self._happened = asyncio.Event()

    def _deliver(self, run: OneRun, effect: Effect) -> None:
        match effect:
            case DispatchWorkflowTask() | DispatchQuery():
                assert not effect.sticky_queue, "no story is told of sticky queues yet"
                self._offers["workflow", effect.task_queue].append((run, effect))
            case DispatchActivityTask():
                self._offers["activity", effect.task_queue].append((run, effect))
            case AnswerQuery():
                self.answers[effect.query_id] = effect
            case AnswerUpdate():
                self.updates[run.state.run_id, effect.update_id] = effect
            case StartChild():
                self._loop.call_soon(self._start_child, run, effect)
            case TellParent():
                self._loop.call_soon(self._tell_parent, run, effect)
            case ReleaseChild():
                self._loop.call_soon(self._release_child, run, effect)
            case _:
                raise AssertionError(f"no story is told of this yet: {effect}")

    # Parents and children

    def _start_child(self, parent: OneRun, effect: StartChild) -> None:
        request, run_id = start_request(effect), self.fresh_id()
        attributes = started_attributes(request, run_id, now_ns=self.now_ns, limits=self.limits)
        with_parent(attributes, effect, NAMESPACE_ID, _execution(parent))
        self.begin(
            Start(
                NAMESPACE_ID,
                request.namespace,
                request.workflow_id,
                run_id,
                attributes,
                request.request_id,
            )
        )
        self.ask(parent, RecordChildStarted(effect.initiated_event_id, run_id))

    def _tell_parent(self, child: OneRun, effect: TellParent) -> None:
        parent = self.run(WorkflowExecution(workflow_id=effect.workflow_id, run_id=effect.run_id))
        closed = RecordChildClosed(
            initiated_event_id=effect.initiated_event_id,
            workflow_id=child.state.workflow_id,
            run_id=child.state.run_id,
            first_run_id=effect.first_run_id,
            event=HistoryEvent.FromString(effect.close_event),
        )
        assert not self.ask(parent, closed), "no story is told of a parent that was reset yet"
        self.ask(child, AcknowledgeParentNotified())

    def _release_child(self, parent: OneRun, effect: ReleaseChild) -> None:
        sender, first_run_id = _execution(parent), effect.run_id
        cancel = RequestCancel(
            "", HISTORY_SERVICE, "", first_run_id, sender=sender, child_only=True
        )
        terminate = Terminate(
            "by parent close policy", None, HISTORY_SERVICE, first_run_id, parent=sender
        )
        kills = effect.policy == ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE
        child = self.run(WorkflowExecution(workflow_id=effect.workflow_id))
        self.ask(child, terminate if kills else cancel)
        self.ask(parent, AcknowledgeChildReleased(effect.initiated_event_id))


def _execution(run: OneRun) -> WorkflowExecution:
    return WorkflowExecution(workflow_id=run.state.workflow_id, run_id=run.state.run_id)
