"""Namespaces: registered, described, listed, changed, deprecated; and what the system says of itself."""

from typing import Any

from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.wire import Refusal
from tests.differential.world import World

_DAY = "86400s"

#: perdure does not announce what it cannot do yet.
OWN_CAPABILITIES = Intended(
    "*.capabilities.*", "perdure tells its own capabilities, and grows towards the real server's"
)


def _named(world: World, name: str) -> dict[str, Any]:
    return {"namespace": world.id(name)}


async def _register(world: World, label: str = "", **fields: Any) -> Any:
    wanted = {"workflow_execution_retention_period": _DAY} | fields
    return await world.attempt(api.RegisterNamespaceRequest(), label, **wanted)


@script(intended=[OWN_CAPABILITIES])
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
    await world.attempt(api.DescribeNamespaceRequest(id=identity.upper()), "by id in capitals")
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
        "less than the least": {"workflow_execution_retention_period": "1.999s"},
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


@script(intended=[OWN_CAPABILITIES])
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


def _bad(*checksums: str) -> dict[str, Any]:
    binaries = {
        checksum: {
            "reason": "why",
            "operator": "who",
            "create_time": "2020-01-01T00:00:00Z",
        }
        for checksum in checksums
    }
    return {"config": {"bad_binaries": {"binaries": binaries}}}


async def _change(world: World, changes: dict[str, dict[str, Any]]) -> None:
    """Make changes, and look at what became of each."""
    for label, fields in changes.items():
        await world.attempt(api.UpdateNamespaceRequest(), label, **_named(world, "ours"), **fields)
        await world.attempt(api.DescribeNamespaceRequest(), label, **_named(world, "ours"))


@script(intended=[OWN_CAPABILITIES])
async def namespace_bad_binaries(world: World) -> None:
    """Kept, shown, and without effect."""
    await _register(world, **_named(world, "ours"))
    described = {"update_info": {"description": "new"}}
    await _change(
        world,
        {
            "one alone": _bad("one"),
            "one that was not kept, deleted": {"delete_bad_binary": "one"},
            "one with a description": _bad("one") | described,
            "the same again": _bad("one") | described,
            "two and one deleted": _bad("two") | {"delete_bad_binary": "one"},
            "all that there may be": _bad(*"abcdefghi") | described,
            "one too many": _bad("j") | described,
            "one for another": _bad("j") | {"delete_bad_binary": "a"},
            "one deleted": {"delete_bad_binary": "two"},
            "one that is not there": {"delete_bad_binary": "two"} | described,
        },
    )


@script(intended=[OWN_CAPABILITIES])
async def namespace_aliases(world: World) -> None:
    """Custom search attributes have their names from their namespace."""

    def named(**aliases: str) -> dict[str, Any]:
        return {"config": {"custom_search_attribute_aliases": aliases}}

    await _register(world, **_named(world, "ours"))
    await _change(
        world,
        {
            "one": named(Keyword01="First"),
            "the same again": named(Keyword01="First"),
            "the name for another": named(Keyword02="First"),
            "another name": named(Keyword01="Second"),
            "two": named(Keyword02="Second", Int01="Number"),
            "taken away": named(Keyword01=""),
            "one that is not there": named(Text01=""),
            "given again": named(Keyword01="Third"),
        },
    )


@script(intended=[OWN_CAPABILITIES])
async def namespace_of_one_cluster(world: World) -> None:
    """Settings for several clusters are refused, settings for archives have no effect."""
    await _register(
        world,
        **_named(world, "ours"),
        clusters=[{"cluster_name": "active"}],
        active_cluster_name="active",
        history_archival_state="ARCHIVAL_STATE_ENABLED",
        history_archival_uri="file:///nowhere",
        visibility_archival_state="ARCHIVAL_STATE_ENABLED",
    )

    def replicated(**fields: Any) -> dict[str, Any]:
        return {"replication_config": fields}

    active, elsewhere = {"cluster_name": "active"}, {"cluster_name": "elsewhere"}
    short: dict[str, Any] = {"config": {"workflow_execution_retention_ttl": "1s"}}
    archived = {
        "history_archival_state": "ARCHIVAL_STATE_ENABLED",
        "visibility_archival_state": "ARCHIVAL_STATE_ENABLED",
    }
    await _change(
        world,
        {
            "the same": replicated(clusters=[active]),
            "two": replicated(clusters=[active, elsewhere]),
            "twice the same": replicated(clusters=[active, active]),
            "normal": replicated(state="REPLICATION_STATE_NORMAL"),
            "handover": replicated(state="REPLICATION_STATE_HANDOVER"),
            "promoted, elsewhere": replicated(active_cluster_name="elsewhere")
            | {"promote_namespace": True},
            "promoted, short": short | {"promote_namespace": True},
            "promoted, unknown binary": {"delete_bad_binary": "x", "promote_namespace": True},
            "archived": {"config": archived},
            "more than a hundred years": {
                "config": {"workflow_execution_retention_ttl": "31557600000s"}
            },
            "no retention": {"config": {"workflow_execution_retention_ttl": "0s"}},
            "a state that is not": {"update_info": {"state": 9}},
        },
    )
    deprecated = {"update_info": {"state": "NAMESPACE_STATE_DEPRECATED"}}
    await world.attempt(api.UpdateNamespaceRequest(), **_named(world, "ours"), **deprecated)
    await _change(
        world,
        {
            "handover of a deprecated one": replicated(state="REPLICATION_STATE_HANDOVER"),
            "normal, and deprecated": replicated(state="REPLICATION_STATE_NORMAL"),
            "back": {"update_info": {"state": "NAMESPACE_STATE_REGISTERED"}},
            "deprecated again": deprecated,
        },
    )


@script(intended=[OWN_CAPABILITIES])
async def namespace_deprecated_by_its_own_call(world: World) -> None:
    await _register(world, **_named(world, "ours"), data={"key": "value"})
    deprecate = api.DeprecateNamespaceRequest
    await world.attempt(deprecate(), **_named(world, "ours"))
    await world.attempt(deprecate(), "again", **_named(world, "ours"))
    await world.attempt(api.DescribeNamespaceRequest(), **_named(world, "ours"))
    await world.attempt(deprecate(namespace="nowhere"), "unknown")
    await world.attempt(deprecate(namespace="x" * 1001), "too long")
    world.namespace = ""
    await world.attempt(deprecate(), "of none")
    await world.attempt(api.UpdateNamespaceRequest(), "of none")


@script(intended=[OWN_CAPABILITIES])
async def namespace_deprecated(world: World) -> None:
    """Open runs go on; nothing new is started."""
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


@script(intended=[OWN_CAPABILITIES])
async def default_namespace(world: World) -> None:
    await world.attempt(api.DescribeNamespaceRequest(namespace="default"))
    await world.attempt(api.DescribeNamespaceRequest(namespace="temporal-system"))


@script(intended=[OWN_CAPABILITIES])
async def system_info(world: World) -> None:
    await world.attempt(api.GetSystemInfoRequest())


@script
async def cluster_info(world: World) -> None:
    reply = await world.do(api.GetClusterInfoRequest())
    assert not isinstance(reply, Refusal)
