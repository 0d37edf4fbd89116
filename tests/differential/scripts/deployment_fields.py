"""Workers and clients name deployments and builds where there is no deployment."""

import asyncio
from typing import Any

from temporalio.api.enums.v1 import TaskQueueKind
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import complete_workflow, record_marker
from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.world import World

_OPTIONS = {"deployment_name": "app", "build_id": "one", "worker_versioning_mode": 2}
_UNVERSIONED = {"deployment_name": "app", "build_id": "one", "worker_versioning_mode": 1}

_REFUSED: dict[str, dict[str, Any]] = {
    "auto-upgrade": {"versioning_behavior": 2},
    "pinned": {"versioning_behavior": 1},
    "unknown behavior": {"versioning_behavior": 77},
    "mode alone": {"deployment_options": {"worker_versioning_mode": 2}},
    "no build": {"deployment_options": {**_OPTIONS, "build_id": ""}},
    "no name": {"deployment_options": {**_OPTIONS, "deployment_name": ""}},
    "pinned, unversioned": {"versioning_behavior": 1, "deployment_options": _UNVERSIONED},
    "stamp and pinned": {
        "versioning_behavior": 1,
        "worker_version_stamp": {"build_id": "one", "use_versioning": True},
    },
    "stamp without a build": {"worker_version_stamp": {"use_versioning": True}},
    "long stamp": {"worker_version_stamp": {"build_id": "a" * 256}},
}
_KEPT: dict[str, dict[str, Any]] = {
    "options without a mode": {"deployment_options": {"deployment_name": "app", "build_id": "one"}},
    "unversioned options": {"deployment_options": _UNVERSIONED},
    "empty options": {"deployment_options": {}},
    "unversioned mode alone": {"deployment_options": {"worker_versioning_mode": 1}},
    "unknown mode": {"deployment_options": {**_OPTIONS, "worker_versioning_mode": 77}},
    "deployment as Go workers send it": {"deployment": {"build_id": "d6a2"}},
}
_HEEDED: dict[str, dict[str, Any]] = {
    "options": {"deployment_options": _OPTIONS},
    "pinned options": {"versioning_behavior": 1, "deployment_options": _OPTIONS},
    "pinned deployment": {
        "versioning_behavior": 1,
        "deployment": {"series_name": "app", "build_id": "one"},
    },
}


@script
async def deployments_of_completions_refused(world: World) -> None:
    for label, fields in _REFUSED.items():
        workflow = world.workflow(label)
        await workflow.start(quiet=True)
        task = await workflow.poll(quiet=True)
        await task.complete(record_marker("m"), label=label, **fields)
        await workflow.terminate(quiet=True)


@script
async def deployments_of_completions_kept(world: World) -> None:
    for label, fields in _KEPT.items():
        workflow = world.workflow(label)
        await workflow.start(quiet=True)
        task = await workflow.poll(quiet=True)
        await task.complete(record_marker("m"), label=label, **fields)
        await workflow.describe(label)
        await workflow.signal(quiet=True)
        task = await workflow.poll(quiet=True)
        await task.complete(complete_workflow(), label=f"{label}, then nothing")


_NOT_SHOWN: dict[str, dict[str, Any]] = {
    "deployment without a behavior": {"deployment": {"series_name": "app", "build_id": "one"}},
}
_NO_VERSIONS = (
    "there are no worker deployments yet: the task is taken, and its version shown nowhere"
)


@script(intended=[Intended("*", _NO_VERSIONS)])
async def deployments_of_completions_not_shown(world: World) -> None:
    for label, fields in _NOT_SHOWN.items():
        workflow = world.workflow(label)
        await workflow.start(quiet=True)
        task = await workflow.poll(quiet=True)
        await task.complete(complete_workflow(), label=label, **fields)


_NOT_YET = "there are no worker deployments yet: who wants them is told by name"


@script(intended=[Intended("*", _NOT_YET)])
async def deployments_of_completions_heeded(world: World) -> None:
    for label, fields in _HEEDED.items():
        workflow = world.workflow(label)
        await workflow.start(quiet=True)
        task = await workflow.poll(quiet=True)
        await task.complete(complete_workflow(), label=label, **fields)
        await workflow.terminate(quiet=True)


@script
async def deployments_of_failures(world: World) -> None:
    said = _REFUSED | _KEPT | _HEEDED | _NOT_SHOWN
    for label in (
        "options",
        "unversioned options",
        "mode alone",
        "deployment without a behavior",
    ):
        workflow = world.workflow(label)
        await workflow.start(quiet=True)
        task = await workflow.poll(quiet=True)
        await task.fail(label=label, **said[label])
        await workflow.poll_and_complete(complete_workflow())


_LONG = "a" * 481
_POLLED: dict[str, dict[str, Any]] = {
    "options": {"deployment_options": _OPTIONS},
    "no build": {"deployment_options": {**_OPTIONS, "build_id": ""}},
    "no name": {"deployment_options": {**_OPTIONS, "deployment_name": ""}},
    "long name": {"deployment_options": {**_OPTIONS, "deployment_name": _LONG}},
    "long build": {"deployment_options": {**_OPTIONS, "build_id": _LONG}},
    "dot": {"deployment_options": {**_OPTIONS, "deployment_name": "a.b"}},
    "colon": {"deployment_options": {**_OPTIONS, "deployment_name": "a:b"}},
    "colon in the build": {"deployment_options": {**_OPTIONS, "build_id": "a:"}},
    "reserved name": {"deployment_options": {**_OPTIONS, "deployment_name": "__a"}},
    "reserved build": {"deployment_options": {**_OPTIONS, "build_id": "__a"}},
    "versioning without a build": {"worker_version_capabilities": {"use_versioning": True}},
    "long version": {"worker_version_capabilities": {"build_id": "a" * 256}},
}


@script(
    intended=[
        Intended("*TaskQueue options.*", _NOT_YET),
        Intended("*colon in the build.*", _NOT_YET),
    ]
)
async def deployments_of_pollers(world: World) -> None:
    sticky = TaskQueue(name=world.id("sticky"), kind=TaskQueueKind.TASK_QUEUE_KIND_STICKY)
    polls = [
        world.attempt(
            api.PollWorkflowTaskQueueRequest(task_queue=sticky), label, deployment_options=options
        )
        for label, options in {"sticky": _OPTIONS, "sticky, unversioned": _UNVERSIONED}.items()
    ]
    for kind in (api.PollWorkflowTaskQueueRequest, api.PollActivityTaskQueueRequest):
        for label, fields in _POLLED.items():
            queue = TaskQueue(name=world.id("queue"))
            polls.append(world.attempt(kind(task_queue=queue), label, timeout=3, **fields))
    await asyncio.gather(*polls)
