"""`python -m tests.visibility [COUNT]`: the corpus over 5,000 executions, on the real server and on all stores."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.differential.servers import FILE, MEMORY, REAL, running
from tests.perdure_server import PerdureServer
from tests.postgres import running_postgres
from tests.visibility.test_corpus import FAST, answers, differences


async def main(count: int) -> int:
    real: dict[str, object] = {}
    wrong = 0

    def judge(name: str, began: float, found: dict[str, object]) -> None:
        nonlocal wrong
        apart = differences(real, found) if real else {}
        wrong += len(apart)
        print(f"{name}: {len(found)} queries over {count} executions, {len(apart)} differ,"
              f" {time.monotonic() - began:.0f} s", flush=True)  # fmt: skip
        for query in apart:
            print(f"  {query}")

    for kind in (REAL, MEMORY, FILE):
        began = time.monotonic()
        async with running(kind, FAST if kind == REAL else ()) as address:
            found = await answers(address, count)
        judge(kind, began, found)
        real = real or found
    with running_postgres() as database:
        began = time.monotonic()
        server = PerdureServer(Path(tempfile.mkdtemp()), database.new_database())
        try:
            server.set_up()
            server.start()
            judge("postgresql", began, await answers(server.address, count))
        finally:
            server.stop()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)))
