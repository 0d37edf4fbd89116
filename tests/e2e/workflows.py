"""The workflows and activities of the workers in these tests."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

SOON = timedelta(seconds=20)


@activity.defn
async def greet(name: str) -> str:
    return f"Hello {name}!"


@activity.defn
async def fail_until(attempt: int) -> int:
    """Fail until the given attempt; heartbeats carry on what was done."""
    info = activity.info()
    seen = list(info.heartbeat_details)
    activity.heartbeat(*seen, info.attempt)
    if info.attempt < attempt:
        raise ApplicationError("not yet", next_retry_delay=timedelta(milliseconds=10))
    return len(seen)


@activity.defn
async def wait_for_cancel() -> str:
    try:
        while True:
            activity.heartbeat()
            await asyncio.sleep(0.05)
    except asyncio.CancelledError:
        activity.heartbeat("stopped")
        raise


@workflow.defn
class Greeting:
    @workflow.run
    async def run(self, name: str) -> str:
        return await workflow.execute_activity(greet, name, start_to_close_timeout=SOON)


@workflow.defn
class Retrying:
    @workflow.run
    async def run(self, attempts: int) -> int:
        return await workflow.execute_activity(
            fail_until, attempts, start_to_close_timeout=SOON, heartbeat_timeout=SOON
        )


@workflow.defn
class Cancelling:
    @workflow.run
    async def run(self) -> str:
        await workflow.execute_activity(
            wait_for_cancel,
            start_to_close_timeout=SOON,
            heartbeat_timeout=SOON,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            retry_policy=RetryPolicy(maximum_attempts=1),
        )
        return "never"


@workflow.defn
class Collecting:
    """Collects signals until it is told to stop; can be asked and updated meanwhile."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._is_over = False

    @workflow.run
    async def run(self, patience_ms: int = 0) -> list[str]:
        if patience_ms:
            await workflow.sleep(timedelta(milliseconds=patience_ms))
            self._words.append("slept")
        else:
            await workflow.wait_condition(lambda: self._is_over)
        return self._words

    @workflow.signal
    def add(self, word: str) -> None:
        self._words.append(word)

    @workflow.signal
    def stop(self) -> None:
        self._is_over = True

    @workflow.query
    def words(self) -> list[str]:
        return self._words

    @workflow.update
    async def append(self, word: str) -> int:
        self._words.append(word)
        return len(self._words)

    @append.validator
    def check(self, word: str) -> None:
        if not word:
            raise ValueError("no word")


@workflow.defn
class Counting:
    @workflow.run
    async def run(self, left: int) -> str:
        if left:
            workflow.continue_as_new(left - 1)
        return workflow.info().continued_run_id or ""


@dataclass
class Family:
    """The ends of the children."""

    greeting: str
    failed: bool


@workflow.defn
class Failing:
    @workflow.run
    async def run(self) -> None:
        raise ApplicationError("on purpose", non_retryable=True)


@workflow.defn
class Parent:
    @workflow.run
    async def run(self) -> Family:
        me = workflow.info().workflow_id
        greeting = await workflow.execute_child_workflow(Greeting.run, "child", id=f"{me}-1")
        failed = False
        try:
            await workflow.execute_child_workflow(Failing.run, id=f"{me}-2")
        except Exception:
            failed = True
        child = await workflow.start_child_workflow(Collecting.run, id=f"{me}-3")
        await child.signal(Collecting.add, "from the parent")
        await workflow.start_child_workflow(
            Collecting.run,
            id=f"{me}-4",
            parent_close_policy=workflow.ParentClosePolicy.TERMINATE,
        )
        await child.signal(Collecting.stop)
        await child
        return Family(greeting, failed)


@workflow.defn
class FailingAtFirst:
    """Fails until the given attempt of the run."""

    @workflow.run
    async def run(self, attempt: int) -> list[str]:
        info = workflow.info()
        if info.attempt < attempt:
            raise ApplicationError(f"attempt {info.attempt}")
        failure = workflow.get_last_failure()
        return [str(info.attempt), str(failure)]


@workflow.defn
class Regular:
    """Runs by a schedule, and counts its runs."""

    @workflow.run
    async def run(self) -> int:
        return (workflow.get_last_completion_result(int) or 0) + 1


WORKFLOWS = [
    Greeting,
    Retrying,
    Cancelling,
    Collecting,
    Counting,
    Failing,
    Parent,
    FailingAtFirst,
    Regular,
]
ACTIVITIES = [greet, fail_until, wait_for_cancel]
