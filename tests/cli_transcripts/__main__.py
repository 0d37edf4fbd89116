"""Record transcripts by hand, and say where they differ: `python -m tests.cli_transcripts [--show] [NAME …]`."""

import argparse
import asyncio
import sys
import time

from tests.cli_transcripts.compare import faults
from tests.cli_transcripts.player import record
from tests.cli_transcripts.script import all_scripts
from tests.differential.servers import MEMORY, REAL


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--show", action="store_true", help="print what the real server made")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    chosen = [
        script
        for name, script in all_scripts().items()
        if not options.names or any(part in name for part in options.names)
    ]
    began = time.monotonic()
    transcripts = asyncio.run(record(chosen))
    failed = 0
    for script in chosen:
        theirs, ours = transcripts[REAL, script.name], transcripts[MEMORY, script.name]
        if options.show:
            for entry in theirs:
                print(f"$ {entry.command}\n  → {entry.code}")
                print("\n".join(f"  {line}" for line in entry.lines))
        found = faults(script, theirs, ours)
        failed += bool(found)
        print(f"{'differs' if found else 'same   '} {script.name}: {len(script.commands)} commands")
        print("\n".join(found))
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
