"""The `perdure` command as a process of its own, for the tests that need it whole."""

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

PERDURE = Path(sys.executable).parent / "perdure"
#: Long enough for a machine that does much else; nothing is judged by it but hanging.
PATIENCE_S = 60


class Running:
    """A server that has said where it listens."""

    def __init__(self, process: asyncio.subprocess.Process, banner: dict[str, str]) -> None:
        self.process = process
        self.banner = banner

    @property
    def address(self) -> str:
        return self.banner["Server"].replace("localhost", "127.0.0.1")

    async def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal, wait for the end, and return the exit code and what was logged."""
        self.process.send_signal(number)
        _, err = await asyncio.wait_for(self.process.communicate(), PATIENCE_S)
        assert self.process.returncode is not None
        return self.process.returncode, err.decode()


@asynccontextmanager
async def running(*arguments: str, **environment: str) -> AsyncIterator[Running]:
    """Start `perdure ARGUMENTS`, wait for its banner, and see to it that it ends."""
    process = await spawn(*arguments, **environment)
    try:
        banner: dict[str, str] = {}
        assert process.stdout is not None
        assert process.stderr is not None
        while "Metrics" not in banner:
            line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
            assert line, (await process.stderr.read()).decode()
            if found := re.match(r"(\w+):\s+(.*)", line.decode()):
                banner[found[1]] = found[2]
        yield Running(process, banner)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def run(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run `perdure ARGUMENTS` to its end; return exit code, output and errors."""
    process = await spawn(*arguments, **environment)
    try:
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def spawn(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        PERDURE,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environment},
    )
