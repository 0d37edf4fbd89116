"""The way back from a second database for lists: refused without a command, and the command."""

from contextlib import asynccontextmanager

import pytest
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from perdure.rebuild import rebuild_lists_of
from perdure.server import StartupError
from perdure.settings import StoreSettings
from perdure.store import schema
from perdure.store.open import open_store
from perdure.store.port import StoreError
from tests.build.commands import memo
from tests.build.requests import start_request
from tests.differential.wire import Wire
from tests.postgres import postgres
from tests.served import serving

__all__ = ["postgres"]


@asynccontextmanager
async def wired(url, lists=""):
    """Yield a connection to a server on this database."""
    store = StoreSettings(url=url, visibility_url=lists)
    async with serving(store, grace_s=1) as server:
        wire = Wire("{}:{}".format(*server.address))
        try:
            yield wire
        finally:
            await wire.close()


async def start(wire, workflow_id):
    request = start_request(workflow_id, namespace="default", request_id=workflow_id)
    request.memo.CopyFrom(memo(about=workflow_id))
    await wire.call(request, timeout=10)


async def ask(wire, request, workflow_id, **fields):
    execution = {"workflow_execution": {"workflow_id": workflow_id}}
    made = request(namespace="default", **execution, **fields)
    return await wire.call(made, timeout=10)


async def listed(wire):
    reply = await wire.call(api.ListWorkflowExecutionsRequest(namespace="default"), timeout=10)
    return sorted(
        (each.execution.workflow_id, each.status, bytes(each.memo.fields["about"].data))
        for each in reply.executions
    )


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
async def urls(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'main.db'}", f"sqlite:///{tmp_path / 'lists.db'}"
    postgres = request.getfixturevalue("postgres")
    made = postgres.new_database(), postgres.new_database()
    for url in made:
        await schema.upgrade(url)
    return made


async def test_lists_are_made_again_from_the_executions(urls):
    main, lists = urls
    async with wired(main) as wire:
        await start(wire, "before")
    async with wired(main, lists) as wire:
        for name in ("open", "closed", "deleted"):
            await start(wire, name)
        await ask(wire, api.TerminateWorkflowExecutionRequest, "closed")
        await ask(wire, api.DeleteWorkflowExecutionRequest, "deleted")
        await ask(wire, api.SignalWorkflowExecutionRequest, "open", signal_name="s")
    with pytest.raises(StartupError, match="perdure schema rebuild-lists"):
        async with wired(main):
            raise AssertionError
    assert await rebuild_lists_of(main) == 3
    async with wired(main) as wire:
        assert await listed(wire) == [
            ("before", 1, b'"before"'),
            ("closed", 5, b'"closed"'),
            ("open", 1, b'"open"'),
        ]
        store = open_store(main) if main.startswith("postgresql") else None
        if store is not None:
            await store.open()
            assert await store.outbox(9) == []
            await store.close()
        with pytest.raises(StoreError):
            await rebuild_lists_of(main)
    async with wired(main, lists) as wire:
        await start(wire, "again")
    with pytest.raises(StartupError, match="visibility_url"):
        async with wired(main):
            raise AssertionError


async def test_the_second_database_need_not_be_there_and_twice_is_as_good(urls):
    main, lists = urls
    async with wired(main, lists) as wire:
        await start(wire, "w")
    assert await rebuild_lists_of(main) == 1
    assert await rebuild_lists_of(main) == 1
    async with wired(main) as wire:
        assert await listed(wire) == [("w", 1, b'"w"')]
