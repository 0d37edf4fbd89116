"""How a run starts: ids, policies, options."""

from typing import Any

from google.protobuf.descriptor import EnumDescriptor
from temporalio.api.enums.v1 import WorkflowIdConflictPolicy, WorkflowIdReusePolicy

from tests.build.commands import complete_workflow, fail_workflow
from tests.differential.registry import add, script
from tests.differential.world import Workflow, World

# Workflow id policies: every reuse policy with every conflict policy, on a run in every interesting state


def _names(policy: EnumDescriptor, prefix: str) -> list[str]:
    return [name.removeprefix(prefix) for name in policy.values_by_name]


_REUSE = _names(WorkflowIdReusePolicy.DESCRIPTOR, "WORKFLOW_ID_REUSE_POLICY_")
_CONFLICT = _names(WorkflowIdConflictPolicy.DESCRIPTOR, "WORKFLOW_ID_CONFLICT_POLICY_")


async def _bring_to(workflow: Workflow, state: str) -> None:
    await workflow.start("the first run", quiet=True)
    match state:
        case "running":
            pass
        case "completed":
            await (await workflow.poll(quiet=True)).complete(complete_workflow(), quiet=True)
        case "failed":
            await (await workflow.poll(quiet=True)).complete(fail_workflow(), quiet=True)
        case "terminated":
            await workflow.terminate(quiet=True)


def _policies(state: str, reuse: str) -> None:
    async def play(world: World) -> None:
        for conflict in _CONFLICT:
            workflow = world.workflow(f"{conflict.lower()}")
            await _bring_to(workflow, state)
            await workflow.try_start(
                f"{reuse} {conflict}",
                workflow_id_reuse_policy=f"WORKFLOW_ID_REUSE_POLICY_{reuse}",
                workflow_id_conflict_policy=f"WORKFLOW_ID_CONFLICT_POLICY_{conflict}",
                request_id="second start",
            )

    add(f"id_policies_{state}_{reuse.lower()}", play)


for _state in ("running", "completed", "failed", "terminated"):
    for _reuse in _REUSE:
        _policies(_state, _reuse)


@script
async def start_minimal(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()


@script
async def start_with_every_option(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(**_every_option())
    await workflow.poll()


def _every_option() -> dict[str, Any]:
    one = {"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "MQ=="}
    return {
        "input": {"payloads": [one, one]},
        "workflow_execution_timeout": "3000s",
        "workflow_run_timeout": "2000s",
        "workflow_task_timeout": "20s",
        "retry_policy": {"maximum_attempts": 5, "non_retryable_error_types": ["Fatal"]},
        "memo": {"fields": {"note": one}},
        "header": {"fields": {"trace": one}},
        "user_metadata": {"summary": one, "details": one},
        "links": [
            {"workflow_event": {"namespace": "other", "workflow_id": "other", "run_id": "other"}}
        ],
        "priority": {"priority_key": 2},
        "continued_failure": {"message": "earlier"},
        "last_completion_result": {"payloads": [one]},
    }
