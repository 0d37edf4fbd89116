"""Run scripts by hand: `python -m tests.differential [--against real|memory|file|HOST:PORT] [--show] [NAME-PART …]`."""

import argparse
import asyncio
import dataclasses
import json
import sys
import time
from contextlib import AsyncExitStack

from tests.differential import scripts
from tests.differential.compare import differences
from tests.differential.known import EVERYWHERE
from tests.differential.registry import SCRIPTS, Script
from tests.differential.servers import FILE, MEMORY, REAL, Settings, running
from tests.differential.session import play, stopped
from tests.differential.transcript import Step
from tests.differential.wire import Wire

assert scripts  # Importing it registers them.


async def _main(arguments: argparse.Namespace) -> int:
    chosen = [
        script
        for name, script in SCRIPTS.items()
        if not arguments.names or any(part in name for part in arguments.names)
    ]
    async with AsyncExitStack() as stack:
        wires: dict[Settings, list[Wire]] = {}
        for settings in dict.fromkeys(script.settings for script in chosen):
            for target in (arguments.real, arguments.against):
                address = target
                if target in (REAL, MEMORY, FILE):
                    address = await stack.enter_async_context(running(target, settings))
                wire = Wire(address)
                stack.push_async_callback(wire.close)
                wires.setdefault(settings, []).append(wire)
        at_once = asyncio.Semaphore(arguments.at_once)
        results = await asyncio.gather(
            *(_both(script, *wires[script.settings], at_once) for script in chosen)
        )
    failed = 0
    for script, (theirs, ours, took) in zip(chosen, results, strict=True):
        if arguments.against == REAL:
            script = dataclasses.replace(script, intended=())  # noqa: PLW2901
        failed += _report(script, theirs, ours, took, show=arguments.show)
    print(f"{len(chosen) - failed} of {len(chosen)} scripts agree")
    return 1 if failed else 0


async def _both(
    script: Script, real: Wire, other: Wire, at_once: asyncio.Semaphore
) -> tuple[list[Step], list[Step], float]:
    async with at_once:
        began = time.monotonic()
        theirs, ours = await asyncio.gather(play(script, real), play(script, other))
        return theirs, ours, time.monotonic() - began


def _report(
    script: Script, theirs: list[Step], ours: list[Step], took: float, *, show: bool
) -> bool:
    if show:
        for step in theirs:
            print(step.label, json.dumps(step.outcome, indent=1, ensure_ascii=False))
    found, stale = differences(theirs, ours, (*script.intended, *EVERYWHERE))
    stale = [known for known in stale if known in script.intended]
    broken = stopped(theirs)
    if broken:
        found.insert(0, f"THE SCRIPT IS BROKEN: {broken}")
    found += [f"intended difference does not occur: {known.where}" for known in stale]
    print(f"{'differs' if found else 'same   '} {script.name} ({took:.1f} s, {len(theirs)} steps)")
    for line in found:
        print("  ", line)
    return bool(found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--real", default=REAL)
    parser.add_argument("--against", default=FILE)
    parser.add_argument("--at-once", type=int, default=6)
    parser.add_argument("--show", action="store_true", help="print the real server's transcript")
    sys.exit(asyncio.run(_main(parser.parse_args())))
