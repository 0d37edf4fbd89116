"""A changed file of dynamic configuration takes effect without a restart."""

import asyncio
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from perdure.core.limits import Limits
from perdure.server import Server, StartupError
from tests.served import server_of

DEFAULT = Limits().blob_size
WITHIN_S = 20


def server(path: Path) -> Server:
    return server_of(
        dynamic_config={"limit.memoSize.error": 3000, "limit.blobSize.error": 600000},
        dynamic_config_file=str(path),
        dynamic_config_poll_seconds=0.01,
    )


def warned(lines: list[MutableMapping[str, Any]]) -> list[tuple[str, str]]:
    return [
        (line["key"], line["event"])
        for line in lines
        if line["log_level"] == "warning" and line["event"].startswith("dynamic config: ")
    ]


def write(path: Path, text: str) -> None:
    """Put a file in the other's place: who reads while it is written must not find half of it."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


async def until(server: Server, blob_size: int) -> None:
    """Return when runs of the namespace are held to this limit."""
    engine, namespace = server.node.engine, server.node.namespaces.get("default")
    async with asyncio.timeout(WITHIN_S):
        while engine.environment_of(namespace.id).limits.blob_size != blob_size:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_change_of_the_file_holds_for_runs_that_are_there(tmp_path):
    path = tmp_path / "dynamic.yaml"
    path.write_text("limit.blobSize.error: [{value: 600001, constraints: {namespace: default}}]")
    running = server(path)
    await running.start()
    try:
        await until(running, 600001)
        assert running.node.limits.of("other").blob_size == DEFAULT, (
            "the key counts in the file only"
        )
        assert running.node.limits.of("default").memo_size == 3000
        write(path, "limit.blobSize.error: [{value: 600002}]")
        await until(running, 600002)
        with structlog.testing.capture_logs() as lines:
            write(path, "limit.blobSize.error: 300")
            async with asyncio.timeout(WITHIN_S):
                while "error" not in [line["log_level"] for line in lines]:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        [why] = [line["error"] for line in lines if line["log_level"] == "error"]
        assert "limit.blobSize.error: expected a list" in why
        assert running.node.limits.of("default").blob_size == 600002, "the values of before stay"
        write(path, "")
        await until(running, 600000)
    finally:
        await running.stop(0)


async def test_a_server_does_not_start_on_a_file_that_is_not_there(tmp_path):
    with pytest.raises(StartupError, match=r"none\.yaml: No such file"):
        await server(tmp_path / "none.yaml").start()


async def test_keys_without_effect_are_logged_once(tmp_path):
    path = tmp_path / "dynamic.yaml"
    path.write_text("system.TransactionSizeLimit: [{value: 1}]\nlimit.blobSize.eror: [{value: 1}]")
    running = server(path)
    with structlog.testing.capture_logs() as lines:
        await running.start()
        try:
            write(path, f"{path.read_text()}\nlimit.blobSize.error: [{{value: 600001}}]\na.b: []")
            await until(running, 600001)
        finally:
            await running.stop(0)
    assert warned(lines) == [
        (
            "system.transactionsizelimit",
            "dynamic config: only the real server uses this key",
        ),
        ("limit.blobsize.eror", "dynamic config: unknown key"),
        ("a.b", "dynamic config: unknown key"),
    ]
