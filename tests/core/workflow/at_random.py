"""Random commands of a worker. Few ids, so that commands meet one another; most are wrong only sometimes."""

from random import Random

from temporalio.api.command.v1 import Command
from temporalio.api.failure.v1 import Failure

from perdure.core.workflow.state import RunState
from tests.build.commands import (
    cancel_activity,
    cancel_timer,
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    failure,
    record_marker,
    schedule_activity,
    signal_external,
    start_child,
    start_timer,
    upsert_memo,
)


def some_activity(rnd: Random) -> Command:
    timeouts = {
        f"{name}_timeout": rnd.choice([None, None, "0.5s", "2s", "5s", "20s"])
        for name in ("schedule_to_close", "schedule_to_start", "start_to_close", "heartbeat")
    }
    if not timeouts["schedule_to_close_timeout"] and rnd.random() < 0.9:
        timeouts["start_to_close_timeout"] = "5s"
    policy = {"maximum_attempts": rnd.choice([0, 1, 2]), "non_retryable_error_types": ["Fatal"]}
    wanted = schedule_activity(rnd.choice("abcdef"), "q", retry_policy=policy, **timeouts)
    eager = rnd.random() < 0.2
    wanted.schedule_activity_task_command_attributes.request_eager_execution = eager
    return wanted


def some_child(rnd: Random) -> Command:
    return start_child(rnd.choice("abcdef"), "q", parent_close_policy=rnd.choice([0, 1, 2, 3]))


def some_signal(rnd: Random) -> Command:
    return signal_external(rnd.choice("xy"), "s")


def some_memo(rnd: Random) -> Command:
    return upsert_memo(**{rnd.choice("kl"): {"data": rnd.choice(["", "MQ=="])}})


def some_command(rnd: Random, state: RunState) -> Command:
    timers, activities = list(state.timers), list(state.activities)
    makers = [
        lambda: start_timer(rnd.choice("abcdef"), rnd.choice([0, 0.5, 1, 3, 10])),
        lambda: cancel_timer(rnd.choice(timers or ["a"])),
        lambda: some_activity(rnd),
        lambda: some_activity(rnd),
        lambda: cancel_activity(rnd.choice(activities or [5])),
        lambda: record_marker(rnd.choice("mmmmm") if rnd.random() < 0.95 else ""),
        lambda: some_child(rnd),
        lambda: some_signal(rnd),
        lambda: some_memo(rnd),
    ]
    return rnd.choice(makers)()


def some_commands(rnd: Random, state: RunState) -> list[Command]:
    commands = [some_command(rnd, state) for _ in range(rnd.choice([0, 1, 1, 2, 3]))]
    if rnd.random() < 0.06:
        last = [complete_workflow(), fail_workflow(), cancel_workflow(), continue_as_new()]
        commands.append(rnd.choice(last))
    return commands


def some_failure(rnd: Random) -> Failure | None:
    return rnd.choice([None, failure(), failure(type="Fatal"), failure(next_retry_delay="3s")])
