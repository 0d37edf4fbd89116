"""The workflows and activities that ../README.md lists."""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.exceptions import ApplicationError, ChildWorkflowError

TEN_SECONDS = timedelta(seconds=10)
SOON = RetryPolicy(initial_interval=timedelta(milliseconds=10))
SPOKEN = SearchAttributeKey.for_keyword("Spoken")


@activity.defn
async def greet(name: str) -> str:
    return f"Hello {name}!"


@activity.defn
async def flaky(failures: int) -> int:
    attempt = activity.info().attempt
    if attempt <= failures:
        raise ApplicationError("not yet", type="Flaky")
    return attempt


@activity.defn
async def beat(beats: int) -> dict[str, int]:
    info = activity.info()
    resumed = info.heartbeat_details[0] if info.heartbeat_details else 0
    for count in range(resumed + 1, (beats // 2 if info.attempt == 1 else beats) + 1):
        activity.heartbeat(count)
    if info.attempt == 1:
        raise ApplicationError("out of breath", type="Breathless")
    return {"total": beats, "resumed": resumed}


@activity.defn
async def number(n: int) -> int:
    return n


@activity.defn
async def clean_up() -> None:
    pass


@workflow.defn
class Greeting:
    @workflow.run
    async def run(self, name: str) -> str:
        return await workflow.execute_activity(greet, name, start_to_close_timeout=TEN_SECONDS)


@workflow.defn
class Conversation:
    def __init__(self) -> None:
        self._said: list[str] = []
        self._name = "nobody"
        self._is_finished = False

    @workflow.run
    async def run(self) -> dict[str, Any]:
        await workflow.wait_condition(lambda: self._is_finished)
        return {"said": self._said, "name": self._name}

    @workflow.signal
    def say(self, text: str) -> None:
        self._said.append(text)

    @workflow.signal
    def finish(self) -> None:
        self._is_finished = True

    @workflow.query
    def said(self) -> list[str]:
        return self._said

    @workflow.update
    def rename(self, name: str) -> str:
        before, self._name = self._name, name
        return before

    @rename.validator
    def is_a_name(self, name: str) -> None:
        if not name:
            raise ValueError("a name may not be empty")


@workflow.defn
class Sleeper:
    @workflow.run
    async def run(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "slept"


@workflow.defn
class Retrying:
    @workflow.run
    async def run(self, failures: int) -> int:
        return await workflow.execute_activity(
            flaky, failures, start_to_close_timeout=TEN_SECONDS, retry_policy=SOON
        )


@workflow.defn
class Beating:
    @workflow.run
    async def run(self, beats: int) -> dict[str, int]:
        return await workflow.execute_activity(
            beat,
            beats,
            start_to_close_timeout=TEN_SECONDS,
            heartbeat_timeout=TEN_SECONDS,
            retry_policy=SOON,
        )


@workflow.defn
class Local:
    @workflow.run
    async def run(self, name: str) -> str:
        return await workflow.execute_local_activity(
            greet, name, start_to_close_timeout=TEN_SECONDS
        )


@workflow.defn
class Many:
    @workflow.run
    async def run(self, n: int) -> int:
        started = (
            workflow.execute_activity(number, i, start_to_close_timeout=TEN_SECONDS)
            for i in range(n)
        )
        return sum(await asyncio.gather(*started))


@workflow.defn
class Failing:
    @workflow.run
    async def run(self) -> None:
        raise ApplicationError("broken", type="Broken")


@workflow.defn
class Parent:
    @workflow.run
    async def run(self, name: str) -> list[str]:
        greeting = await workflow.execute_child_workflow(Greeting.run, name)
        try:
            await workflow.execute_child_workflow(Failing.run)
        except ChildWorkflowError:
            return [greeting, "caught"]
        return [greeting]


@workflow.defn
class Again:
    @workflow.run
    async def run(self, n: int) -> str:
        if n:
            workflow.continue_as_new(n - 1)
        return "done"


@workflow.defn
class Cancelled:
    @workflow.run
    async def run(self) -> None:
        try:
            await asyncio.sleep(timedelta(days=1).total_seconds())
        finally:
            # The task was cancelled once and is not again: what is awaited from here on is not cancelled.
            await workflow.execute_activity(clean_up, start_to_close_timeout=TEN_SECONDS)


@workflow.defn
class Versioned:
    @workflow.run
    async def run(self) -> str:
        is_changed = workflow.patched("changed")
        workflow.upsert_search_attributes([SPOKEN.value_set("yes")])
        if hasattr(workflow, "upsert_memo"):  # Since 1.11.
            workflow.upsert_memo({"upserted": "yes"})
        return "ok" if is_changed else "the first version"


@workflow.defn
class Waiting:
    def __init__(self) -> None:
        self._may_go = False

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self._may_go)
        return "went"

    @workflow.signal
    def go(self) -> None:
        self._may_go = True


WORKFLOWS = [
    Greeting,
    Conversation,
    Sleeper,
    Retrying,
    Beating,
    Local,
    Many,
    Parent,
    Failing,
    Again,
    Cancelled,
    Versioned,
    Waiting,
]
ACTIVITIES = [greet, flaky, beat, number, clean_up]
