"""Features that an operator can switch on by dynamic configuration. All are on here, and limits are small."""

from typing import Any

from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import complete_workflow, record_marker
from tests.differential.registry import script
from tests.differential.world import World

#: One pair of servers for all scripts about such keys.
ALL_ON = (
    "system.enableCrossNamespaceCommands=true",
    "history.enableCHASMSignalBacklinks=true",
    "history.enableWorkflowTaskCompletionPagination=true",
    "history.workflowTaskCompletionBufferSizeLimit=4000",
    "history.enableUpdateCallbacks=true",
    "matching.maxFairnessKeyWeightOverrides=3",
    "frontend.contextMetadataSetTrailer=true",
)


@script(settings=ALL_ON)
async def fairness_weights_beyond_their_number(world: World) -> None:
    queue = world.id("queue")

    async def change(label: str, **fields: Any) -> None:
        request = api.UpdateTaskQueueConfigRequest(task_queue=queue, identity="operator")
        kind = {"task_queue_type": "TASK_QUEUE_TYPE_ACTIVITY"}
        await world.attempt(request, label, **kind, **fields)

    def weights(*keys: str) -> dict[str, float]:
        return dict.fromkeys(keys, 2.0)

    await change("four at once", set_fairness_weight_overrides=weights("a", "b", "c", "d"))
    await change("two", set_fairness_weight_overrides=weights("a", "b"))
    await change("two more", set_fairness_weight_overrides=weights("c", "d"))
    await change("a third", set_fairness_weight_overrides=weights("c"))
    await change(
        "one for another",
        set_fairness_weight_overrides=weights("d"),
        unset_fairness_weight_overrides=["a"],
    )
    await change("what is not about weights", update_queue_rate_limit={"reason": "none"})


@script(settings=ALL_ON)
async def namespaces_say_what_is_on(world: World) -> None:
    request = api.DescribeNamespaceRequest(namespace=world.namespace)
    described = await world.do(request, quiet=True)
    shown = described.namespace_info
    world.note("limit", shown.limits.workflow_task_completion_size_limit_error)
    capabilities = shown.capabilities
    world.note(
        "capabilities",
        {
            "update callbacks": capabilities.workflow_update_callbacks,
            "pages of completions": capabilities.workflow_task_completion_pagination,
        },
    )


@script(settings=ALL_ON)
async def signals_and_the_events_they_became(world: World) -> None:
    workflow, other = world.workflow(), world.workflow("other")
    await workflow.start(quiet=True)
    await workflow.signal("one", request_id="first")
    await workflow.signal("again", request_id="first")
    await workflow.signal("without an id")
    await workflow.describe("one")
    task = await workflow.poll(quiet=True)
    await workflow.signal("while a worker has the task", request_id="second")
    await workflow.describe("while it is buffered")
    await task.complete(quiet=True)
    await workflow.describe("when it has its id")
    await workflow.signal_with_start("to one that is there", request_id="third")
    await other.signal_with_start("to one that is not", request_id="fourth")
    task = await workflow.poll(quiet=True)
    await task.complete(quiet=True)
    reset = api.ResetWorkflowExecutionRequest(
        workflow_execution=workflow.execution(),
        workflow_task_finish_event_id=task.reply.started_event_id + 1,
        request_id="reset",
    )
    reply = await world.do(reset)
    workflow.saw_run(reply.run_id)


def _marker(name: str, size: int = 10) -> Any:
    return record_marker(name, details={"data": {"payloads": [{"data": "eHh4" * (size // 3)}]}})


@script(settings=ALL_ON)
async def a_completion_in_pages(world: World) -> None:
    """They may come in any order, and again: the first one counts."""
    workflow = world.workflow()
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    for number in (2, 0, 1, 1):
        page = {"intermediate_page": True, "page_number": number}
        name = f"{'again' if number == 1 else 'marker'} {number}"
        await task.complete(_marker(name), label=f"page {number}", **page)
    await workflow.describe("while pages come")
    await task.complete(_marker("last"), complete_workflow(), page_number=3)


@script(settings=ALL_ON)
async def pages_that_are_refused(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)

    async def page(label: str, *commands: Any, **fields: Any) -> None:
        await task.complete(*commands, label=label, **fields)

    first = {"intermediate_page": True}
    await page("the last of none", page_number=1)
    await page("empty", **first)
    await page("negative", _marker("x"), intermediate_page=True, page_number=-1)
    await page("too many", _marker("x"), intermediate_page=True, page_number=1024)
    await page("the last of too many", page_number=1024)
    await page("first", _marker("x"), **first)
    await page("another is refused", **first)
    await page("and all are forgotten", page_number=1)
    await page("first once more", _marker("x"), **first)
    await page("one is missing", page_number=2)
    await page("and all are forgotten again", page_number=1)
    await page("the wrong order", complete_workflow(), **first)
    await page("is refused with the last", _marker("x"), page_number=1)
    await page("the whole", complete_workflow())


@script(settings=ALL_ON)
async def pages_of_an_earlier_attempt(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(_marker("x"), intermediate_page=True)
    await task.fail(quiet=True)
    again = await workflow.poll(quiet=True)
    await task.complete(complete_workflow(), label="of the first attempt", page_number=1)
    await again.complete(complete_workflow(), label="of the second", page_number=1)
    await again.complete(complete_workflow())


@script(settings=ALL_ON)
async def pages_that_are_too_large(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(_marker("one", 2000), label="one", intermediate_page=True)
    await task.complete(_marker("two", 2000), label="two", intermediate_page=True, page_number=1)
    await workflow.history("ended")


@script(settings=ALL_ON)
async def pages_that_are_too_large_again(world: World) -> None:
    """The task is left alone then, from the second attempt on."""
    workflow = world.workflow()
    await workflow.start(quiet=True)
    await (await workflow.poll(quiet=True)).fail(quiet=True)
    task = await workflow.poll(quiet=True)
    large = _marker("one", 5000)
    await task.complete(large, label="too large", intermediate_page=True)
    await workflow.history("goes on")
    await task.complete(complete_workflow(), label="the whole")


@script(settings=ALL_ON)
async def pages_and_messages_of_the_last(world: World) -> None:
    """The server reads the commands of a page that is not the last, and nothing else in it."""
    workflow = world.workflow()
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(
        _marker("one"),
        label="with a sticky queue",
        intermediate_page=True,
        sticky_attributes=workflow.sticky(),
        return_new_workflow_task=True,
        force_create_new_workflow_task=True,
    )
    await task.complete(_marker("two"), page_number=1, sticky_attributes=workflow.sticky())
    await workflow.signal_and_poll_sticky()
