"""The way back from a second database for lists: refused without a command, and the command."""

from contextlib import asynccontextmanager

import pytest
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from perdure.rebuild import rebuild_lists_of
from perdure.server import Server, StartupError
from perdure.settings import ServerSettings, Settings, StoreSettings
from perdure.store import schema
from perdure.store.open import open_store
from perdure.store.port import StoreError
from tests.build.commands import memo
from tests.differential.wire import Wire
from tests.postgres import postgres

__all__ = ["postgres"]


@asynccontextmanager
async def serving(url, lists=""):
    settings = Settings(
        server=ServerSettings(port=0, http_port=0, metrics_port=0),
        store=StoreSettings(url=url, visibility_url=lists),
    )
    server = Server(settings)
    await server.start()
    wire = Wire(f"127.0.0.1:{server.address[1]}")
    try:
        yield wire
    finally:
        await wire.close()
        await server.stop(1)


async def start(wire, workflow_id):
    request = api.StartWorkflowExecutionRequest(
        namespace="default",
        workflow_id=workflow_id,
        request_id=workflow_id,
        memo=memo(about=workflow_id),
    )
    request.workflow_type.name = "T"
    request.task_queue.name = "q"
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
    async with serving(main) as wire:
        await start(wire, "before")
    async with serving(main, lists) as wire:
        for name in ("open", "closed", "deleted"):
            await start(wire, name)
        await ask(wire, api.TerminateWorkflowExecutionRequest, "closed")
        await ask(wire, api.DeleteWorkflowExecutionRequest, "deleted")
        await ask(wire, api.SignalWorkflowExecutionRequest, "open", signal_name="s")
    with pytest.raises(StartupError, match="perdure schema rebuild-lists"):
        async with serving(main):
            raise AssertionError
    assert await rebuild_lists_of(main) == 3
    async with serving(main) as wire:
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
    async with serving(main, lists) as wire:
        await start(wire, "again")
    with pytest.raises(StartupError, match="visibility_url"):
        async with serving(main):
            raise AssertionError


async def test_the_second_database_need_not_be_there_and_twice_is_as_good(urls):
    main, lists = urls
    async with serving(main, lists) as wire:
        await start(wire, "w")
    assert await rebuild_lists_of(main) == 1
    assert await rebuild_lists_of(main) == 1
    async with serving(main) as wire:
        assert await listed(wire) == [("w", 1, b'"w"')]
