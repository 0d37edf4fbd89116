"""Runs the official Python SDK's own test suite against a perdure of its own, and compares with what is known.

    SDK=<a checkout of temporalio/sdk-python> python -m tools.conformance \\
        [--store memory|file|postgres] [--prune] [smoke|full|FILE] [pytest arguments]

The suite and the table of what the real server passes live beside this repository, in ../shared/conformance. Tests that
pass there and not here are listed with their reason in tests/conformance/behind.tsv. This starts a fresh server for the
run, with the settings below, and a second one on which the tests that are not in the list, and failed, run once more.
It fails if they fail again. `--prune` takes the tests that pass out of the list.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
SUITE = ROOT.parent / "shared" / "conformance" / "sdk-python"
BEHIND = ROOT / "tests" / "conformance" / "behind.tsv"
#: The settings that the suite wants to differ from the defaults. perdure ignores the keys of what it has not built.
SETTINGS = {
    "limit.historyCount.suggestContinueAsNew": "50",
    "frontend.workerVersioningDataAPIs": "true",
    "frontend.workerVersioningWorkflowAPIs": "true",
    "nexusoperation.enableStandalone": "true",
    "activity.enableStandalone": "true",
    "activity.startDelayEnabled": "true",
    "history.enableUpdateCallbacks": "true",
    "history.enableSignalWithStartFromWorkflow": "true",
    "component.nexusoperations.recordCancelRequestCompletionEvents": "true",
}
#: Where run.sh keeps the suite, unless $WORK says otherwise.
WORK = Path(os.environ.get("WORK") or f"{tempfile.gettempdir()}/perdure-sdk-python")


@contextmanager
def server(store: str) -> Iterator[str]:
    """A fresh server; yields its address."""
    perdure = str(Path(sys.executable).parent / "perdure")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="conformance-")))
        if store == "postgres":
            from tests.postgres import running_postgres

            url = stack.enter_context(running_postgres()).new_database()
            subprocess.run([perdure, "schema", "setup", "--url", url], check=True)
            config = folder / "perdure.toml"
            keys = "".join(f'"{key}" = {value}\n' for key, value in SETTINGS.items())
            ports = "port = 0\nhttp_port = 0\nmetrics_port = 0\n"
            config.write_text(f'[server]\n{ports}[store]\nurl = "{url}"\n[dynamic_config]\n{keys}')
            command = [perdure, "server", "start", "--config", str(config)]
        else:
            command = [perdure, "server", "start-dev", "--headless", "--port", "0"]
            for key, value in SETTINGS.items():
                command += ["--dynamic-config-value", f"{key}={value}"]
            if store == "file":
                command += ["--db-filename", str(folder / "perdure.db")]
        process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if found := re.match(r"Server:\s+\S+:(\d+)$", line):
                    yield f"127.0.0.1:{found[1]}"
                    return
            raise SystemExit("Error: the server did not start: see above")
        finally:
            process.send_signal(signal.SIGTERM)


def run(store: str, what: str, arguments: Iterable[str]) -> dict[str, str]:
    """Run `what` ("full", "smoke", a file or a test) and return what became of each test."""
    result = WORK / "result.xml"
    result.unlink(missing_ok=True)
    with server(store) as address:
        subprocess.run([str(SUITE / "run.sh"), what, address, *arguments], check=False)
    if not result.exists():
        raise SystemExit("Error: the suite did not run: see above")
    outcomes: dict[str, str] = {}
    for case in ET.parse(result).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "skipped" if "skipped" in kinds else "passed"
        outcomes[f"{case.get('classname')}::{case.get('name')}"] = (
            "failed" if kinds & {"failure", "error"} else outcome
        )
    return outcomes


def node(test: str) -> str:
    """Where pytest finds a test that junit names: "tests.test_x.TestY::name" is "tests/test_x.py::TestY::name"."""
    place, name = test.split("::", 1)
    parts = place.split(".")
    file = next(n for n, part in enumerate(parts) if part.startswith("test_"))
    return "::".join(["/".join(parts[: file + 1]) + ".py", *parts[file + 1 :], name])


def table(path: Path) -> dict[str, str]:
    lines = path.read_text().splitlines()
    return dict(line.split("\t") for line in lines if line and not line.startswith("#"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=["memory", "file", "postgres"], default="memory")
    parser.add_argument("--prune", action="store_true")
    parser.add_argument("what", nargs="?", default="smoke")
    chosen, rest = parser.parse_known_args()
    if not SUITE.exists():
        raise SystemExit(f"Error: the suite is not there: {SUITE}")
    baseline, known = table(SUITE / "baseline.tsv"), table(BEHIND)

    outcomes = run(chosen.store, chosen.what, rest)
    ran = {test: outcome for test, outcome in outcomes.items() if test in baseline}
    passed = {test for test, outcome in ran.items() if outcome == "passed"}
    behind = {test for test in ran if baseline[test] == "passed" and test not in passed}
    new = sorted(behind - known.keys())
    if new:
        print(f"{len(new)} failed that are not in the list: once more, alone", flush=True)
        first, *others = [node(test) for test in new]
        again = run(chosen.store, first, others)
        flaky = {test for test in new if again.get(test) == "passed"}
        passed, behind = passed | flaky, behind - flaky
        for test in sorted(flaky):
            print(f"passes alone: {test}")
        new = sorted(behind - known.keys())
    ahead = sorted(known.keys() & passed)
    for test in new:
        print(f"NEW, behind the real server: {test}")
    for test in ahead:
        print(f"passes, though in the list: {test} ({known[test]})")
    if chosen.prune:
        lines = BEHIND.read_text().splitlines(keepends=True)
        BEHIND.write_text("".join(line for line in lines if line.split("\t")[0] not in ahead))
    for reason, count in Counter(known[test] for test in behind & known.keys()).most_common():
        print(f"{count:5} behind because of: {reason}")
    print(
        f"{chosen.store}: {len(ran)} ran, {len(passed)} passed,"
        f" {sum(baseline[test] == 'passed' for test in ran)} pass on the real server,"
        f" {len(behind)} behind, {len(new)} of them new"
    )
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main())
