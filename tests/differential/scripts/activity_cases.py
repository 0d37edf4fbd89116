"""Operators' calls on activities in all states: every pair of values of the product in `tests/activity_cases.py`."""

import asyncio
from typing import Any

from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.activity_cases import (
    CALLS,
    JITTER_S,
    QUEUE_MASK,
    RETRY_POLICY,
    STATES,
    Call,
    Case,
    pairwise,
)
from tests.build.commands import cancel_activity, failure, schedule_activity
from tests.differential.compare import Intended
from tests.differential.registry import add
from tests.differential.scripts.activity_control import do
from tests.differential.transcript import plain
from tests.differential.wire import Refused
from tests.differential.world import ActivityTask, Workflow, World

_SETTINGS = ("frontend.WorkflowPauseEnabled=true",)
_WAITS = PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
#: Cases at once.
_AT_ONCE = 6
#: A script has as many cases as it can play with time to spare.
_CASES_MAX = 33
_CHANGE = Call(
    "change", {"activity_options": {"heartbeat_timeout": "9s"}, "update_mask": "heartbeatTimeout"}
)


_UNTOUCHED = (
    "changed options leave alone what does not depend on them: when it is due, and how it failed"
)
_TOLD = "the worker is told what counts now"
_SHOWN = "a new time for all attempts counts, and is shown"
_KEPT_BACK = "an activity of a paused run does not go on because its options change"
#: In each script only some of them occur.
_INTENDED = [
    Intended(f"*{where}", reason, sometimes=True)
    for where, reason in {
        ": changed while it backs off*.last_failure": _UNTOUCHED,
        ": changed while it backs off*.current_retry_interval": _UNTOUCHED,
        ": changed*.polled.heartbeat_timeout": _TOLD,
        " change *.polled.*_timeout": _TOLD,
        " change *.expiration_time": _SHOWN,
        " change *.last_failure": _UNTOUCHED,
        " change *.current_retry_interval": _UNTOUCHED,
        " change *: scheduled again*.next_attempt_schedule_time": _UNTOUCHED,
    }.items()
]
for _part in (".polled*", ".completed", ".history.*"):
    for _state in ("scheduled", "scheduled again", "changed"):
        _where = f"* change *: {_state} in a paused run*{_part}"
        _INTENDED.append(Intended(_where, _KEPT_BACK, sometimes=True))
    _where = f"* change *: scheduled again*{_part}"
    _INTENDED.append(Intended(_where, _UNTOUCHED, sometimes=True))


class _Lost(Exception):
    """The real server has given a task to a poll that it did not answer, as it may when the machine is busy."""


class _Activity:
    """The activity "a" of one case, and the worker that may have it."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.workflow = Workflow(world, f"case-{number}")
        self.queue = world.id(f"activities-{number}")
        self.held: ActivityTask | None = None

    async def schedule(self, case: Case) -> None:
        await self.workflow.start(quiet=True, **case.run_timeouts)
        command = schedule_activity(
            "a", self.queue, retry_policy=dict(RETRY_POLICY), **case.timeouts
        )
        await self.work(command)
        for action in STATES[case.state]:
            await self._do(action)
        if case.run_is_paused:
            pause = api.PauseWorkflowExecutionRequest(workflow_id=self.workflow.id)
            await self.world.do(pause, quiet=True)

    async def _do(self, action: str) -> None:
        match action:
            case "poll":
                self.held = await self.poll()
                if not self.held.reply.task_token:
                    raise _Lost
            case "beat":
                assert self.held is not None
                await self.held.heartbeat(quiet=True)
            case "fail":
                await self.fail()
            case "fail soon":
                await self.fail(next_retry_delay="0.05s")
                await self.world.wait(0.3)
            case "cancel":
                await self.workflow.signal(quiet=True)
                await self.work(cancel_activity(5))
            case "pause" | "reset":
                await self.call(Call(action, {}))
            case "reset but paused":
                await self.call(Call("reset", {"keep_paused": True}))
            case "change":
                await self.call(_CHANGE)
            case _:
                raise AssertionError(action)

    async def call(self, call: Call) -> Any:
        fields = dict(call.fields)
        if fields.get("update_mask") == QUEUE_MASK:
            self.queue += "-elsewhere"
            fields["activity_options"] = {"task_queue": {"name": self.queue}}
        return await do(self.workflow, call.what, quiet=True, **fields)

    async def poll(self, *, timeout: float = 20) -> ActivityTask:
        return await self.world.poll_activity(self.queue, timeout=timeout, quiet=True)

    async def work(self, *commands: Command) -> None:
        task = await self.workflow.poll(quiet=True)
        if not task.reply.task_token:
            raise _Lost
        await task.complete(*commands, quiet=True)

    async def fail(self, **info: Any) -> Any:
        assert self.held is not None
        held, self.held = self.held, None
        return await held.fail(failure(type="Other", **info), quiet=True)

    async def seen(self) -> Any:
        described = await self.workflow.describe(quiet=True)
        shown = plain(described)
        info = shown["workflow_execution_info"]
        return {
            "activities": shown.get("pending_activities"),
            "status": info["status"],
            "paused": info.get("search_attributes", {}),
        }

    async def may_be_handed_out(self) -> bool:
        described = await self.workflow.describe(quiet=True)
        return any(
            each.state == _WAITS and not each.HasField("next_attempt_schedule_time")
            for each in described.pending_activities
        )


async def _scheduled(world: World, number: int, case: Case) -> _Activity:
    for tries_left in (2, 1, 0):
        activity = _Activity(world, number)
        try:
            await activity.schedule(case)
        except (_Lost, Refused):
            if not tries_left:
                raise
            await activity.workflow.terminate(quiet=True)
        else:
            break
    return activity


def _is_kept_back(case: Case) -> bool:
    """Whether what waits goes on waiting because the run is paused: a poll is in vain."""
    lets_go = case.call.what == "reset" or (case.call.what == "unpause" and "paused" in case.state)
    return case.run_is_paused and not lets_go


async def _play(world: World, number: int, case: Case) -> Any:
    """Return what is answered, and seen then; how the attempt that runs goes on; whether there is another one."""
    activity = await _scheduled(world, number, case)
    told: dict[str, Any] = {"run": activity.workflow.run_id}
    told["answer"] = plain(await activity.call(case.call))
    if "jitter" in case.call.fields:
        await world.wait(JITTER_S + 0.3)
    told["then"] = await activity.seen()
    if activity.held is not None:
        told["beat"] = plain(await activity.held.heartbeat(quiet=True))
        told["failed"] = plain(await activity.fail())
        told["after it failed"] = await activity.seen()
    if await activity.may_be_handed_out():
        polled = await activity.poll(timeout=3 if _is_kept_back(case) else 20)
        told["polled"] = plain(polled.reply)
        if polled.reply.task_token:
            told["completed"] = plain(await polled.complete(quiet=True))
    told["history"] = plain(await activity.workflow.history(quiet=True))
    await activity.workflow.terminate(quiet=True)
    return told


def _script(cases: list[Case]) -> Any:
    async def play(world: World) -> None:
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def one(number: int, case: Case) -> Any:
            async with at_once:
                return await _play(world, number, case)

        told = await asyncio.gather(*(one(n, case) for n, case in enumerate(cases)))
        for case, each in zip(cases, told, strict=True):
            world.note(case.name, each)

    return play


def _register() -> None:
    for what in dict.fromkeys(call.what for call in CALLS):
        cases = [case for case in pairwise() if case.call.what == what]
        for begin in range(0, len(cases), _CASES_MAX):
            add(
                f"activity_cases_{what}_{begin}",
                _script(cases[begin : begin + _CASES_MAX]),
                settings=_SETTINGS,
                intended=_INTENDED,
            )


_register()
