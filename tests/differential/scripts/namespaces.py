"""Namespaces: registered, described, listed, changed, deprecated; and what the system says of itself."""

from typing import Any

from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.wire import Refusal
from tests.differential.world import World

_DAY = "86400s"

#: What perdure cannot do yet it does not promise either.
_OWN_CAPABILITIES = Intended(
    "*.capabilities.*", "perdure tells its own capabilities, and grows towards the real server's"
)


def _named(world: World, name: str) -> dict[str, Any]:
    return {"namespace": world.id(name)}


async def _register(world: World, label: str = "", **fields: Any) -> Any:
    wanted = {"workflow_execution_retention_period": _DAY} | fields
    return await world.attempt(api.RegisterNamespaceRequest(), label, **wanted)


@script(intended=[_OWN_CAPABILITIES])
async def namespace_registered(world: World) -> None:
    await _register(
        world,
        **_named(world, "ours"),
        description="what it is for",
        owner_email="owner@example.com",
        data={"key": "value"},
        workflow_execution_retention_period="3600s",
    )
    described = await world.do(api.DescribeNamespaceRequest(), "by name", **_named(world, "ours"))
    identity = described.namespace_info.id
    await world.attempt(api.DescribeNamespaceRequest(id=identity), "by id")
    await world.attempt(
        api.DescribeNamespaceRequest(id=identity), "by both", **_named(world, "ours")
    )
    await _register(world, "again", **_named(world, "ours"))
    await _register(
        world, "again, wrong", **_named(world, "ours"), workflow_execution_retention_period="1s"
    )
    world.namespace = world.id("ours")
    workflow = world.workflow()
    await workflow.start("right away")
    await workflow.poll()


@script
async def namespaces_refused(world: World) -> None:
    faults: dict[str, dict[str, Any]] = {
        "no retention": {"workflow_execution_retention_period": None},
        "no time": {"workflow_execution_retention_period": "0s"},
        "negative": {"workflow_execution_retention_period": "-1s"},
        "less than an hour": {"workflow_execution_retention_period": "3599s"},
        "global": {"is_global_namespace": True},
        "cluster": {"clusters": [{"cluster_name": "elsewhere"}]},
        "active cluster": {"active_cluster_name": "elsewhere"},
        "long name": {"namespace": "x" * 1001},
        "no name": {"namespace": ""},
        "global without retention": {
            "is_global_namespace": True,
            "workflow_execution_retention_period": None,
        },
    }
    for label, fields in faults.items():
        await _register(world, label, **(_named(world, "refused") | fields))
    describe = api.DescribeNamespaceRequest
    await world.attempt(describe(namespace="nowhere"), "unknown name")
    unknown = "6d1f5a2e-0000-4000-8000-000000000000"
    world.namespace = ""
    await world.attempt(describe(id=unknown), "unknown id")


@script
async def namespaces_of_any_name(world: World) -> None:
    for name in ("with space", "with/slash", "ünicode", "-dash", "_underscore", "x" * 300):
        await _register(world, name[:20], namespace=world.id(name))


@script(intended=[_OWN_CAPABILITIES])
async def namespace_changed(world: World) -> None:
    await _register(world, **_named(world, "ours"), data={"kept": "1", "changed": "1"})
    changes: dict[str, dict[str, Any]] = {
        "nothing": {},
        "description and data": {
            "update_info": {"description": "new", "data": {"changed": "2", "added": "2"}}
        },
        "owner": {"update_info": {"owner_email": "new@example.com"}},
        "empty description": {"update_info": {"description": ""}},
        "retention": {"config": {"workflow_execution_retention_ttl": "7200s"}},
        "retention too short": {"config": {"workflow_execution_retention_ttl": "1s"}},
        "negative retention": {"config": {"workflow_execution_retention_ttl": "-1s"}},
        "unknown bad binary": {"delete_bad_binary": "nothing"},
        "promoted": {"promote_namespace": True},
        "unknown cluster": {"replication_config": {"active_cluster_name": "elsewhere"}},
        "the same cluster": {"replication_config": {"active_cluster_name": "active"}},
        "handed over": {"replication_config": {"state": "REPLICATION_STATE_HANDOVER"}},
        "same state": {"update_info": {"state": "NAMESPACE_STATE_REGISTERED"}},
    }
    for label, fields in changes.items():
        await world.attempt(api.UpdateNamespaceRequest(), label, **_named(world, "ours"), **fields)
    await world.attempt(api.DescribeNamespaceRequest(), "at last", **_named(world, "ours"))
    await world.attempt(api.UpdateNamespaceRequest(namespace="nowhere"), "unknown")


@script(intended=[_OWN_CAPABILITIES])
async def namespace_deprecated(world: World) -> None:
    """What runs there goes on; nothing new is started."""
    await _register(world, **_named(world, "ours"))
    world.namespace = world.id("ours")
    started = world.workflow()
    await started.start()
    update = api.UpdateNamespaceRequest
    deprecated: dict[str, Any] = {"update_info": {"state": "NAMESPACE_STATE_DEPRECATED"}}
    await world.attempt(update(), "deprecated", **_named(world, "ours"), **deprecated)
    registered: dict[str, Any] = {"update_info": {"state": "NAMESPACE_STATE_REGISTERED"}}
    await world.attempt(update(), "and back", **_named(world, "ours"), **registered)
    await started.describe("of one that runs")
    await started.signal()
    late = world.workflow("late")
    # Temporal: what a namespace has become is seen some seconds later.
    while not isinstance(await world.attempt(late.start_request(), quiet=True), Refusal):
        await world.wait(0.5)
    await late.try_start("refused")
    await late.signal_with_start("refused")


@script
async def namespaces_listed(world: World) -> None:
    """Both scripts' namespaces and others' are there: only look for our own."""
    for name in ("one", "two", "three"):
        await _register(world, **_named(world, name))
    found = {}
    token = b""
    while True:
        request = api.ListNamespacesRequest(page_size=2, next_page_token=token)
        page = await world.do(request, quiet=True)
        for described in page.namespaces:
            found[described.namespace_info.name] = described
        token = page.next_page_token
        if not token:
            break
    ours = sorted(name for name in found if name.endswith(world.nonce))
    world.note("all of ours", [name.removesuffix(f"-{world.nonce}") for name in ours])
    world.note("the usual ones", sorted(found.keys() & {"default", "temporal-system"}))


@script(intended=[_OWN_CAPABILITIES])
async def default_namespace(world: World) -> None:
    await world.attempt(api.DescribeNamespaceRequest(namespace="default"))
    await world.attempt(api.DescribeNamespaceRequest(namespace="temporal-system"))


@script(intended=[_OWN_CAPABILITIES])
async def system_info(world: World) -> None:
    await world.attempt(api.GetSystemInfoRequest())


@script
async def cluster_info(world: World) -> None:
    reply = await world.do(api.GetClusterInfoRequest())
    assert not isinstance(reply, Refusal)
