"""The words of a story: those of the differential scripts, and three that say what must come of it.

    @story
    async def a_timer_fires_when_its_time_has_come(scene: Scene) -> None:
        workflow = await scene.started()
        await workflow.work(start_timer("t", 1))
        await workflow.until(EventType.EVENT_TYPE_TIMER_FIRED)
        await workflow.shows("5 TimerStarted 6 TimerFired +1s started_event_id=5 7 WorkflowTaskScheduled")
        await workflow.work(complete_workflow())
        await workflow.shows("8 WorkflowTaskStarted 9 WorkflowTaskCompleted 10 WorkflowExecutionCompleted")

A story knows servers by their API alone, so that it can be played on each of the three stages: the rules (`core_stage`), a
simulated node (`node_stage`), and both servers of the differential suite, whose registry knows every story as a script.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, overload

from google.protobuf.message import Message
from temporalio.api.command.v1 import Command
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.differential import world
from tests.differential.registry import SCRIPTS, Script, add
from tests.differential.wire import Refusal, Refused, method_name
from tests.differential.world import ActivityTask
from tests.stories.expectations import Names, check_history, check_message, with_names

Tell = Callable[["Scene"], Awaitable[None]]

STORIES: dict[str, Script] = {}


@overload
def story(tell: Tell, /) -> Tell: ...


@overload
def story(*, name: str = "", settings: tuple[str, ...] = ()) -> Callable[[Tell], Tell]: ...


def story(
    tell: Tell | None = None, /, *, name: str = "", settings: tuple[str, ...] = ()
) -> Callable[[Tell], Tell] | Tell:
    """Register a story, under the name of its function unless it has another. `settings`: as of a script."""

    def register(tell: Tell) -> Tell:
        known_as = name or tell.__name__
        add(known_as, tell, settings=settings, world=Scene)
        STORIES[known_as] = SCRIPTS[known_as]
        return tell

    return register if tell is None else register(tell)


class Scene(world.World):
    """One telling of a story, on one of the three stages."""

    #: How exact times are; None: on a real clock, where an event may be as late as it likes.
    exact_s: float | None = None

    def workflow(self, name: str = "workflow") -> "StoryWorkflow":
        workflow = StoryWorkflow(self, name)
        self.workflows.append(workflow)
        return workflow

    async def started(self, name: str = "workflow", **fields: Any) -> "StoryWorkflow":
        workflow = self.workflow(name)
        await workflow.start(**fields)
        return workflow

    async def attempt(self, request: Message, label: str = "", **options: Any) -> Any:
        """Make a call. Raise `Refused` if it is: a story says so where it expects that."""
        reply = await super().attempt(request, label, **options)
        if isinstance(reply, Refusal):
            raise Refused(method_name(request), reply)
        return reply

    async def refused(self, call: Awaitable[Any], expected: str) -> None:
        """Expect that a call is answered with "CODE: message"."""
        try:
            reply = await call
        except Refused as error:
            told = f"{error.refusal.code}: {error.refusal.message}"
            assert self.named(told) == expected, f"refused with {told!r}"
        else:
            raise AssertionError(f"it was not refused, but answered: {reply}")

    def tells(self, reply: Message, expected: str, *, of: str = "") -> None:
        """Expect fields of an answer, or `of` a part of it: "a.b=value c=value"."""
        check_message(reply, expected, self._names(), of)

    def named(self, text: str) -> str:
        return with_names(text, self._names())

    def _names(self) -> Names:
        """Return what stands for the ids of this very run: "parent/1" is the first run of the workflow "parent"."""
        runs = {
            run_id: f"{workflow.name}/{number}"
            for workflow in self.workflows
            for number, run_id in enumerate(workflow.run_ids, 1)
        }
        return {**runs, self.id(""): ""}

    async def clean_up(self) -> None:
        for workflow in self.workflows:
            with suppress(Refused):  # It has closed already.
                await workflow.terminate(quiet=True)

    async def check_history(self, execution: Any, expected: str) -> None:
        request = api.GetWorkflowExecutionHistoryRequest(execution=execution)
        reply = await self.do(request)
        check_history(reply.history.events, expected, self._names(), self.exact_s)


class StoryWorkflow(world.Workflow):
    world: Scene

    async def poll(self, label: str = "", **options: Any) -> world.WorkflowTask:
        """Take the workflow task; wait until there is one."""
        task = await super().poll(label, **options)
        assert task.reply.task_token, "there is no workflow task"
        if not task.reply.HasField("query"):
            self.saw_run(task.reply.workflow_execution.run_id)
        return task

    async def work(self, *commands: Command, **fields: Any) -> Any:
        """Take the workflow task and complete it."""
        return await (await self.poll()).complete(*commands, **fields)

    async def take_activity(self) -> ActivityTask:
        """Take an activity task from the workflow's own queue; wait until there is one."""
        task = await self.world.poll_activity(self.task_queue)
        assert task.reply.task_token, "there is no activity task"
        return task

    async def appears(self) -> None:
        """Learn of the run, which was not started by a client."""
        described = await self.describe(quiet=True)
        self.saw_run(described.workflow_execution_info.execution.run_id)

    async def pause(self) -> None:
        request = api.PauseWorkflowExecutionRequest(workflow_id=self.id, reason="why")
        await self.world.attempt(request, identity="operator", request_id="pause")

    async def unpause(self) -> None:
        request = api.UnpauseWorkflowExecutionRequest(workflow_id=self.id, reason="enough")
        await self.world.attempt(request, identity="operator", request_id="unpause")

    async def reset(self, event_id: int) -> None:
        """Take it back to where it was before this event."""
        request = api.ResetWorkflowExecutionRequest(
            workflow_execution=self.execution(),
            reason="why",
            workflow_task_finish_event_id=event_id,
            request_id="reset",
        )
        reply = await self.world.attempt(request)
        self.saw_run(reply.run_id)

    async def shows(self, expected: str, *, run: int = 0) -> None:
        """Expect these events at the end of the history of a run: the last one, or the `run`-th.

        "4 TimerStarted timer_id=t 5 TimerFired +1s": an event with fields of its attributes, and how long it came after the
        one before it. Nothing else follows.
        """
        run_id = self.run_ids[run - 1]
        await self.world.check_history(self.execution(run_id), expected)

    async def tells(self, expected: str, *, of: str = "") -> None:
        """Expect fields of its description, or `of` a part of it."""
        self.world.tells(await self.describe(), expected, of=of)
