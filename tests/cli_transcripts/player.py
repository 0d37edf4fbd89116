"""Run scripts against the real server and perdure at the same time; a worker serves both."""

import asyncio
import json
import re
import sys
import tempfile
import uuid
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import Worker

from tests.cli_transcripts.normalise import Normaliser
from tests.cli_transcripts.script import Command, Script
from tests.cli_transcripts.worker import ACTIVITIES, WORKFLOWS
from tests.differential.servers import MEMORY, REAL, running

TEMPORAL = Path(sys.executable).parent / "temporal"
#: Longer than any command takes; one that hangs is a failure, not a slow test.
_PATIENCE_S = 30.0
_AGAIN_AFTER_S = 0.2
#: Commands at once: more of them make timeouts late.
_AT_ONCE = 6
#: A queue of perdure is one part; so the real server's numbers are those of a whole queue, too.
_ONE_PART = (
    "matching.numTaskqueueReadPartitions=1",
    "matching.numTaskqueueWritePartitions=1",
)
_NAME = re.compile(r"\{([a-z][a-z0-9_]*)\}")


#: The exit code of what did not come to its end.
NEVER = -1


@dataclass(frozen=True, slots=True)
class Entry:
    """One command, as it was written in the script, and what came of it."""

    command: str
    code: int
    lines: list[str]


@dataclass(slots=True)
class _Player:
    address: str
    queue: str
    home: Path
    at_once: asyncio.Semaphore
    nonce: str = field(default_factory=lambda: uuid.uuid4().hex[:10])
    kept: dict[str, str] = field(default_factory=dict)

    async def play(self, script: Script) -> list[Entry]:
        normaliser = Normaliser(self.nonce)
        entries = []
        for command in script.commands:
            code, output = await self._outcome(command)
            if command.keep is not None and not self._keep(*command.keep, output):
                code = NEVER
            lines = normaliser.lines(command.form, output.replace(self.queue, "<queue>"))
            entries.append(Entry(command.shown(), code, lines))
        return entries

    def _keep(self, name: str, key: str, output: str) -> bool:
        """Keep what is under `key`; return whether there is anything. The other scripts go on without it."""
        try:
            self.kept[name] = str(json.loads(output)[key])
        except (ValueError, LookupError, TypeError):
            return False
        return True

    async def _outcome(self, command: Command) -> tuple[int, str]:
        """Run it, perhaps again and again; what never comes to its end is an outcome, too."""
        code, output = 0, ""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while True:
                    code, output = await self._run(command)
                    if command.until is None or command.until.search(output):
                        return code, output
                    await asyncio.sleep(_AGAIN_AFTER_S)
        except TimeoutError:
            return NEVER, output

    async def _run(self, command: Command) -> tuple[int, str]:
        words = [_NAME.sub(self._replaced, word) for word in command.words]
        async with self.at_once:
            process = await asyncio.create_subprocess_exec(
                TEMPORAL,
                *words,
                *("--address", self.address, "--output", command.form),
                *("--time-format", "iso", "--color", "never"),
                env={"HOME": str(self.home), "PATH": "/usr/bin:/bin", "TZ": "UTC"},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            try:
                output, _ = await process.communicate()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        assert process.returncode is not None
        return process.returncode, output.decode()

    def _replaced(self, found: re.Match[str]) -> str:
        name = found.group(1)
        if name == "queue":
            return self.queue
        if name == "address":
            return self.address
        return self.kept.get(name, f"{name}-{self.nonce}")


async def record(scripts: Iterable[Script]) -> dict[tuple[str, str], list[Entry]]:
    """Play all scripts on both servers; return the transcripts by kind of server and name of script."""
    transcripts: dict[tuple[str, str], list[Entry]] = {}
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="transcripts-")))
        at_once = asyncio.Semaphore(_AT_ONCE)
        addresses = {
            REAL: await stack.enter_async_context(running(REAL, _ONE_PART)),
            MEMORY: await stack.enter_async_context(running(MEMORY)),
        }

        async def play(kind: str, script: Script, queue: str) -> None:
            player = _Player(addresses[kind], queue, home, at_once)
            transcripts[kind, script.name] = await player.play(script)

        async with asyncio.TaskGroup() as group:
            for kind, address in addresses.items():
                queue = f"queue-{uuid.uuid4().hex[:10]}"
                client = await Client.connect(address, identity="worker")
                await stack.enter_async_context(
                    Worker(client, task_queue=queue, workflows=WORKFLOWS, activities=ACTIVITIES)
                )
                for script in scripts:
                    group.create_task(play(kind, script, queue))
    return transcripts
