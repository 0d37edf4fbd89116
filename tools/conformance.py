"""Runs the official Python SDK's own test suite against a perdure of its own.

    SDK=<a checkout of temporalio/sdk-python> python -m tools.conformance [smoke|full|FILE] [pytest arguments]

The suite and the table of what the real server passes live beside this repository, in ../shared/conformance. It wants a
fresh server for each run, with the setting below; this starts one in memory on a free port, and stops it.
"""

import re
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SUITE = ROOT.parent / "shared" / "conformance" / "sdk-python" / "run.sh"
SETTINGS = ["limit.historyCount.suggestContinueAsNew=50"]


def main() -> int:
    mode, *rest = sys.argv[1:] or ["smoke"]
    if not SUITE.exists():
        print(f"Error: the suite is not there: {SUITE}", file=sys.stderr)
        return 1
    command = [str(Path(sys.executable).parent / "perdure"), "server", "start-dev", "--headless"]
    command += ["--port", "0"]
    for setting in SETTINGS:
        command += ["--dynamic-config-value", setting]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            for line in server.stdout:
                if found := re.match(r"Server:\s+\S+:(\d+)$", line):
                    suite = [str(SUITE), mode, f"127.0.0.1:{found[1]}", *rest]
                    return subprocess.run(suite, check=False).returncode
        finally:
            server.send_signal(signal.SIGTERM)
    print("Error: the server did not start: see above", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
