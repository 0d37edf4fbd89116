"""Signals, with and without a start."""

from tests.build.commands import complete_workflow, fail_workflow, json_payloads, start_timer
from tests.differential.compare import Intended
from tests.differential.registry import add, script
from tests.differential.world import World

_LINK = {"workflow_event": {"workflow_id": "a", "namespace": "n", "run_id": "r"}}


@script
async def signal_with_everything(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.signal(
        request_id="request",
        input=json_payloads("input"),
        header={"fields": {"trace": json_payloads("trace")["payloads"][0]}},
        links=[_LINK],
        control="control",
    )
    await workflow.describe()


@script
async def signal_twice_with_one_request_id(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.signal("one", request_id="request")
    await workflow.signal("one", "again", request_id="request")
    await workflow.signal("two", "the same id for another signal", request_id="request")
    await workflow.poll_and_complete(start_timer("t", 100))
    await workflow.signal("one", "again, later", request_id="request")
    task = await workflow.poll(timeout=2.2)
    assert not task.reply.task_token
    await workflow.signal("three", request_id="other")
    await workflow.poll_and_complete(complete_workflow())


@script
async def signal_dedupe_while_buffered(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    await workflow.signal("one", request_id="request")
    await workflow.signal("one", "again", request_id="request")
    await task.complete()


@script
async def signal_wakes_the_workflow_once(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete()
    await workflow.signal("one")
    await workflow.signal("two")
    await workflow.describe()
    await workflow.poll_and_complete(complete_workflow())


@script
async def signal_an_old_run(world: World) -> None:
    workflow = world.workflow()
    first = await workflow.start()
    await workflow.terminate()
    second = await workflow.start(request_id="second")
    await workflow.signal(label="the old run", run_id=first)
    await workflow.signal(label="the new run", run_id=second)
    await workflow.signal(label="whichever runs")


# Signal with start: every reuse policy on every state


def _signal_with_start(state: str) -> None:
    async def play(world: World) -> None:
        for reuse in (
            "UNSPECIFIED",
            "ALLOW_DUPLICATE",
            "ALLOW_DUPLICATE_FAILED_ONLY",
            "REJECT_DUPLICATE",
            "TERMINATE_IF_RUNNING",
        ):
            for conflict in ("UNSPECIFIED", "USE_EXISTING", "TERMINATE_EXISTING"):
                workflow = world.workflow(f"{reuse}-{conflict}".lower())
                await workflow.start(quiet=True)
                match state:
                    case "completed":
                        task = await workflow.poll(quiet=True)
                        await task.complete(complete_workflow(), quiet=True)
                    case "failed":
                        task = await workflow.poll(quiet=True)
                        await task.complete(fail_workflow(), quiet=True)
                    case "terminated":
                        await workflow.terminate(quiet=True)
                await workflow.signal_with_start(
                    f"{reuse} {conflict}",
                    workflow_id_reuse_policy=f"WORKFLOW_ID_REUSE_POLICY_{reuse}",
                    workflow_id_conflict_policy=f"WORKFLOW_ID_CONFLICT_POLICY_{conflict}",
                    request_id="second",
                )

    add(f"signal_with_start_{state}", play)


for _state in ("running", "completed", "failed", "terminated"):
    _signal_with_start(_state)


@script
async def signal_with_start_of_nothing(world: World) -> None:
    workflow = world.workflow()
    await workflow.signal_with_start(
        request_id="request",
        input=json_payloads("input"),
        signal_input=json_payloads("signal"),
        workflow_run_timeout="1000s",
        memo={"fields": {"note": json_payloads("memo")["payloads"][0]}},
        header={"fields": {"trace": json_payloads("trace")["payloads"][0]}},
        user_metadata={"summary": json_payloads("summary")["payloads"][0]},
        links=[_LINK],
        retry_policy={"maximum_attempts": 3},
    )
    await workflow.describe()
    await workflow.poll_and_complete(complete_workflow())


@script
async def signal_with_start_again(world: World) -> None:
    """Request ids: of the start, of the signal, and of each other."""
    workflow = world.workflow()
    await workflow.signal_with_start("first", request_id="one")
    await workflow.signal_with_start("the same request", request_id="one")
    await workflow.signal_with_start("another request", request_id="two")
    await workflow.signal_with_start("that again", request_id="two")
    await workflow.try_start("start with the id of the first", request_id="one")
    await workflow.signal("signal", "signal with the id of the second", request_id="two")
    await workflow.terminate()
    await workflow.signal_with_start("the first request, closed", request_id="one")


@script
async def signal_with_start_without_request_id(world: World) -> None:
    workflow = world.workflow()
    await workflow.signal_with_start("starts")
    await workflow.signal_with_start("signals")


@script
async def signal_with_start_delayed(world: World) -> None:
    workflow = world.workflow()
    await workflow.signal_with_start("starts", request_id="one", workflow_start_delay="1s")
    await workflow.describe("delayed")
    await workflow.signal_with_start("signals", request_id="two", workflow_start_delay="5s")
    await workflow.signal("three")
    await workflow.poll()


@script
async def signal_with_start_while_started(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    await workflow.signal_with_start("buffered", request_id="two")
    await workflow.history("buffered")
    await task.complete()
    await workflow.poll_and_complete(complete_workflow())


@script
async def signal_with_start_terminates_while_started(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    await workflow.signal()
    await workflow.signal_with_start(
        "terminates",
        workflow_id_conflict_policy="WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING",
        request_id="two",
    )
    await task.complete(complete_workflow(), label="of the old run")
    await workflow.poll_and_complete(complete_workflow())


@script(
    intended=[
        Intended(
            "*.request_id_infos.one.event_id",
            "the real server takes the signal's event for the one of the start",
        )
    ]
)
async def signal_with_the_request_id_of_the_start(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(request_id="one")
    await workflow.signal(request_id="one")
    await workflow.describe("signaled")
    await workflow.try_start("again", request_id="one")
