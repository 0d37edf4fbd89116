"""Walks that chance decides: signals, updates, activities, resets and what workers answer, in any order.

A seed is a walk, the same on every server as long as the servers answer the same. Nothing here waits for a timeout, and
nothing is asked that a server refuses for what it cannot do: Temporal then forgets what it has in memory alone.
"""

import asyncio
import random
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.protocol.v1 import Message

from tests.build.commands import (
    cancel_timer,
    complete_workflow,
    continue_as_new,
    failure,
    record_marker,
    schedule_activity,
    start_timer,
)
from tests.build.updates import accepts, completes, fails, rejects
from tests.differential.registry import add
from tests.differential.scripts.resetting import reset
from tests.differential.updates import poll_update, respond, update
from tests.differential.wire import Refusal
from tests.differential.world import ActivityTask, Workflow, WorkflowTask, World

_SEEDS = range(30)
_STEPS = 30
#: More than so many would be refused.
_UPDATES_MAX = 6


class _Walk:
    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.dice = random.Random(seed)
        self.workflow: Workflow = world.workflow()
        #: The task that a worker has.
        self.task: WorkflowTask | None = None
        self.activities: list[ActivityTask] = []
        self.names = 0
        #: Updates that were asked for in this run, and those that were accepted and are not done.
        self.asked: list[str] = []
        self.accepted: list[str] = []
        #: A worker wants to end the run: it refuses updates.
        self.closing = False
        self.waiting: list[asyncio.Task[Any]] = []

    def name(self, kind: str) -> str:
        self.names += 1
        return f"{kind}{self.names}"

    async def walk(self) -> None:
        await self.workflow.start()
        for _ in range(_STEPS):
            described = await self.workflow.describe(quiet=True)
            if described.workflow_execution_info.status != 1:
                break
            await self.step(described)
            await asyncio.sleep(0.05)  # Its consequences elsewhere.
        await self.workflow.terminate("at the end")
        await asyncio.gather(*self.waiting)

    async def step(self, described: Any) -> None:
        ways: dict[Any, int] = {self.signal: 3, self.look: 1}
        if len(self.asked) < _UPDATES_MAX and not self.closing:
            ways[self.update] = 5
        if self.asked and not self.closing:
            ways[self.ask_again] = 2
        if self.task is not None:
            ways[self.answer] = 7
            if self.task.reply.attempt == 1:
                ways[self.fail] = 1
        elif described.pending_workflow_task.state == 1:
            ways[self.poll] = 8
        if any(each.state == 1 for each in described.pending_activities):
            ways[self.poll_activity] = 4
        if self.activities:
            ways[self.end_activity] = 3
        ways[self.cancel] = 1
        ways[self.reset] = 1
        [way] = self.dice.choices(list(ways), list(ways.values()))
        await way()

    # The client's side

    async def signal(self) -> None:
        await self.workflow.signal(self.name("signal"))

    async def cancel(self) -> None:
        await self.workflow.cancel(self.name("cancel"))

    async def look(self) -> None:
        await self.workflow.history("look")
        await self.workflow.describe("look")

    async def update(self) -> None:
        name = self.name("update")
        self.asked.append(name)
        await self._ask(name, name)

    async def ask_again(self) -> None:
        name = self.dice.choice(self.asked)
        if self.dice.random() < 0.5:
            await self._ask(name, self.name(f"{name} again "))
        else:
            await poll_update(self.workflow, name, self.name(f"{name} "))

    async def _ask(self, name: str, label: str) -> None:
        wait = self.dice.choice(["ACCEPTED", "COMPLETED"])
        self.waiting.append(
            asyncio.create_task(update(self.workflow, name, label, wait=wait, timeout=30))
        )
        await self.world.settle()

    async def reset(self) -> None:
        history = await self.workflow.history(quiet=True)
        ends = [
            event.event_id
            for event in history.history.events
            if event.event_type
            in (
                EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
                EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED,
            )
        ]
        if ends and self.dice.random() < 0.5:
            await reset(self.workflow, self.dice.choice(ends), self.name("reset"))
            self._begin_anew()

    def _begin_anew(self) -> None:
        """Another run: what workers hold is of the old one.

        Temporal: to ask for updates that were applied again and not accepted is an error of the server's own.
        """
        self.task, self.closing = None, False
        self.asked, self.accepted, self.activities = [], [], []

    # The worker's side

    async def poll(self) -> None:
        self.task = await self.workflow.poll(quiet=True)
        reply = self.task.reply
        # Temporal: after a failure updates are admitted again, in any order.
        messages = sorted(reply.messages, key=lambda message: message.id)
        del reply.messages[:]
        reply.messages.extend(messages)
        self.world.note(
            self.name("task "),
            {
                "attempt": reply.attempt,
                "started": [reply.previous_started_event_id, reply.started_event_id],
                "events": [EventType.Name(event.event_type) for event in reply.history.events],
                "messages": [[each.id, each.event_id] for each in messages],
            },
        )

    async def fail(self) -> None:
        assert self.task is not None
        await self.task.fail(failure("broken"))
        self.task = None

    async def answer(self) -> None:
        assert self.task is not None
        task, self.task = self.task, None
        # Temporal: whoever waits for the end of these is told less when a completion is refused.
        may_end = not self.accepted
        messages = self._answers(task)
        commands = [self._command() for _ in range(self.dice.choice([0, 0, 1, 2]))]
        last = self.dice.random()
        if last < 0.04 and may_end:
            commands.append(complete_workflow())
        elif last < 0.1 and may_end:
            await self.world.wait(1.2)  # The new run need not wait, then.
            commands.append(continue_as_new())
        elif last < 0.15 and task.reply.attempt == 1 and not self.accepted:
            commands.append(cancel_timer("nobody"))
        force = not commands and not messages and self.dice.random() < 0.2
        before = await self.workflow.describe(quiet=True)
        reply = await respond(task, messages, *commands, force_create_new_workflow_task=force)
        if isinstance(reply, Refusal):
            # Temporal: to ask for these again is an error of the server's own.
            sent = [each.protocol_instance_id for each in task.reply.messages]
            self.asked = [name for name in self.asked if name not in sent]
            self.accepted = []
            self.closing = reply.message == "UnhandledCommand"
            return
        self.closing = False
        after = await self.workflow.describe(quiet=True)
        run_id = after.workflow_execution_info.execution.run_id
        if run_id != before.workflow_execution_info.execution.run_id:
            self.workflow.saw_run(run_id)
            self._begin_anew()

    def _command(self) -> Any:
        kind = self.dice.choice(["timer", "activity", "marker"])
        if kind == "timer":
            return start_timer(self.name("timer"), 1000)
        if kind == "activity":
            name = self.name("activity")
            # A queue for each: in which order a reset offers them again is not said.
            return schedule_activity(
                name, self.world.id(name), retry_policy={"maximum_attempts": 1}
            )
        return record_marker(self.name("marker"))

    def _answers(self, task: WorkflowTask) -> list[Message]:
        messages: list[Message] = []
        for name in list(self.accepted):
            if self.dice.random() < 0.4:
                messages.append(self.dice.choice([completes, fails])(name))
                self.accepted.remove(name)
        for asked in task.reply.messages:
            way = self.dice.choice(["done", "done", "accepted", "rejected", "passed over"])
            if way == "rejected":
                messages.append(rejects(asked))
            elif way != "passed over":
                messages.append(accepts(asked))
            if way == "done":
                messages.append(completes(asked))
            elif way == "accepted":
                self.accepted.append(asked.protocol_instance_id)
        return messages

    async def poll_activity(self) -> None:
        described = await self.workflow.describe(quiet=True)
        names = sorted(each.activity_id for each in described.pending_activities if each.state == 1)
        name = self.dice.choice(names)
        self.activities.append(await self.world.poll_activity(self.world.id(name)))

    async def end_activity(self) -> None:
        activity = self.activities.pop(self.dice.randrange(len(self.activities)))
        if self.dice.random() < 0.7:
            await activity.complete()
        else:
            await activity.fail(failure())


def _walk(seed: int) -> Any:
    async def play(world: World) -> None:
        await _Walk(world, seed).walk()

    return play


for _seed in _SEEDS:
    add(f"walk {_seed}", _walk(_seed))
