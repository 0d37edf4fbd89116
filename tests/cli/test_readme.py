"""The examples of the README work as written."""

import ast
import asyncio
import functools
import inspect
import re
import shlex
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from tests.cli.perdure_process import PATIENCE_S, PERDURE, running

pytestmark = pytest.mark.slow
README = (Path(__file__).parents[2] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


async def output_of(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_the_first_workflow_in_python_and_from_the_cli(tmp_path):
    hello = tmp_path / "hello.py"
    async with running("server", "start-dev", "--port", "0") as server:
        text = blocks("python")[0]
        assert "localhost:7233" in text
        hello.write_text(text.replace("localhost:7233", server.address))
        worker = await asyncio.create_subprocess_exec(
            sys.executable, hello, stdout=asyncio.subprocess.PIPE
        )
        try:
            assert worker.stdout is not None
            said = await asyncio.wait_for(worker.stdout.readline(), PATIENCE_S)
            assert said == b"Hello Temporal!\n"
            outputs = []
            for line in blocks("sh")[0].splitlines():
                program, *arguments = shlex.split(line)
                assert program == "temporal"
                address = ("--address", server.address)
                outputs.append(await output_of(str(PERDURE.parent / program), *arguments, *address))
        finally:
            worker.kill()
            await worker.communicate()
    executed, listed, shown = outputs
    assert "Hello CLI!" in executed
    assert {"first", "second"} <= set(listed.split())
    assert "WorkflowExecutionCompleted" in shown


async def test_an_sdk_starts_it_as_its_dev_server(monkeypatch):
    monkeypatch.chdir(PERDURE.parents[2])
    # On a busy machine the usual five seconds may be over before Python has imported everything.
    patient = functools.partial(
        WorkflowEnvironment.start_local, dev_server_startup_timeout=timedelta(seconds=PATIENCE_S)
    )
    monkeypatch.setattr(WorkflowEnvironment, "start_local", patient)
    code = compile(blocks("python")[1], "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names: dict[str, object] = {}
    started = eval(code, names)
    assert inspect.isawaitable(started)
    await started
    environment = names["environment"]
    try:
        assert await environment.client.service_client.check_health()
        assert [w async for w in environment.client.list_workflows()] == []
    finally:
        await environment.shutdown()
