"""What is off by default, and an operator can switch on by dynamic configuration. All is on here, and limits are small."""

from typing import Any

from temporalio.api.workflowservice.v1 import request_response_pb2 as api

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
