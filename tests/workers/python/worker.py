"""A worker of the Python SDK with its default options: see ../README.md."""

import asyncio
import os
import signal
import sys

from temporalio.client import Client
from temporalio.worker import Worker
from workflows import ACTIVITIES, WORKFLOWS


async def main(address: str, namespace: str, queue: str, max_cached: str | None = None) -> None:
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    client = await Client.connect(address, namespace=namespace)
    cached = {} if max_cached is None else {"max_cached_workflows": int(max_cached)}
    async with Worker(
        client, task_queue=queue, workflows=WORKFLOWS, activities=ACTIVITIES, **cached
    ):
        print("ready", flush=True)
        await terminated.wait()
    print("stopped", flush=True)


asyncio.run(main(*sys.argv[1:]))
# The interpreter is not taken down: threads of older SDKs, in Rust, may still be about to enter it, and then it crashes.
os._exit(0)
