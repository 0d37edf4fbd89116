"""Where perdure's time goes while workflows run: py-spy's view from outside, and cProfile's from inside.

py-spy samples the untouched server (all its threads) and its file opens in speedscope; its self times are true
shares. cProfile slows Python code down and sees the event loop's thread alone, but it counts calls: a function that is
called 40 times a workflow shows. Neither is a measurement: take figures from `compare`.
"""

import pstats
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bench.compare import run_load
from bench.lab import Lab, progress
from bench.load import Level, Order
from bench.report import figure, table
from bench.servers import Kind, Running, running

SAMPLES_PER_SECOND = 250
WARM_UP_SECONDS = 3.0
ROWS_COUNT = 40


class Shares(NamedTuple):
    """How often a function was seen, of all samples: on top of the stack, and anywhere in it."""

    samples_count: int
    own: Counter[str]
    total: Counter[str]


class Plan(msgspec.Struct, frozen=True):
    """The scenario to profile, and for how long."""

    kind: Kind
    scenario: str
    concurrency: int
    seconds: float
    #: Also show the C functions of extensions. Slows the server down.
    native: bool
    #: Where the profiles are kept.
    results: Path


def profile(plan: Plan, lab: Lab) -> str:
    """Profile the server twice and return the tables."""
    plan.results.mkdir(parents=True, exist_ok=True)
    sampled = plan.results / f"profile-{plan.kind.value}.speedscope.json"
    counted = plan.results / f"profile-{plan.kind.value}.pstats"
    progress(f"py-spy watches {plan.kind.value}")
    watched = with_py_spy(plan, lab, sampled)
    progress("the same under cProfile")
    traced = with_c_profile(plan, lab, counted)
    progress(f"open {sampled} in speedscope, {counted} in snakeviz or pstats")
    return "\n".join(
        (
            f"# {plan.kind.value}, {plan.scenario}, {plan.concurrency} at once",
            f"\n## py-spy ({figure(watched.per_second)} workflows/s, "
            f"{figure(watched.server_cpu_ms)} ms of CPU each)\n",
            shares_table(shares(sampled)),
            f"\n## cProfile, per workflow ({figure(traced.per_second)} workflows/s)\n",
            calls_table(counted, traced.completed_count_before + traced.completed_count),
        )
    )


def with_py_spy(plan: Plan, lab: Lab, output: Path) -> Level:
    """Run the load while py-spy samples the server."""
    with running(lab.launch(plan.kind, "py-spy")) as server:
        sampler = subprocess.Popen(
            [
                str(Path(sys.executable).parent / "py-spy"),
                "record",
                f"--pid={server.pid}",
                f"--rate={SAMPLES_PER_SECOND}",
                f"--duration={WARM_UP_SECONDS + plan.seconds:.0f}",
                "--format=speedscope",
                f"--output={output}",
                "--threads",
                *(["--native"] if plan.native else []),
            ],
            stdout=subprocess.DEVNULL,
        )
        try:
            (level,) = run_load(_order(plan, server), lab)
            if sampler.wait(timeout=120) != 0:
                raise RuntimeError("py-spy failed: it needs the right to trace other processes")
        finally:
            if sampler.poll() is None:
                sampler.kill()
    return level


def with_c_profile(plan: Plan, lab: Lab, output: Path) -> Level:
    """Run the load against a server that runs under cProfile, and stop it, upon which it writes its profile."""
    wrapper = [sys.executable, "-m", "cProfile", "-o", str(output)]
    with running(lab.launch(plan.kind, "cprofile", wrapper)) as server:
        (level,) = run_load(_order(plan, server), lab)
    return level


def shares(speedscope: Path) -> Shares:
    """Count the functions in a speedscope file. A recursive function counts once a sample."""
    content: dict[str, Any] = msgspec.json.decode(speedscope.read_bytes())
    frames = [_frame_name(frame) for frame in content["shared"]["frames"]]
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    samples_count = 0
    for thread in content["profiles"]:
        for stack in thread["samples"]:
            if not stack:
                continue
            samples_count += 1
            own[frames[stack[-1]]] += 1
            total.update({frames[frame] for frame in stack})
    return Shares(samples_count, own, total)


def shares_table(found: Shares) -> str:
    """The functions that were seen most often."""
    return table(
        ("function", "own %", "with callees %"),
        (
            (
                name,
                f"{100 * count / found.samples_count:.1f}",
                f"{100 * found.total[name] / found.samples_count:.1f}",
            )
            for name, count in found.own.most_common(ROWS_COUNT)
        ),
    )


def calls_table(profile_file: Path, workflows_count: int) -> str:
    """The functions that took most time of their own, with their calls, per workflow."""
    found: dict[tuple[str, int, str], tuple[int, int, float, float, object]]
    found = pstats.Stats(str(profile_file)).stats  # type: ignore[attr-defined]
    busiest = sorted(found.items(), key=lambda item: item[1][2], reverse=True)[:ROWS_COUNT]
    return table(
        ("function", "calls", "own us", "with callees us"),
        (
            (
                f"{_short(file)}:{line} {name}" if line else name,
                figure(calls_count / workflows_count),
                figure(own / workflows_count * 1e6),
                figure(total / workflows_count * 1e6),
            )
            for (file, line, name), (_, calls_count, own, total, _) in busiest
        ),
    )


def _order(plan: Plan, server: Running) -> Order:
    return Order(
        target=server.target,
        scenario=plan.scenario,
        concurrencies=(plan.concurrency,),
        warm_up_seconds=WARM_UP_SECONDS,
        window_seconds=plan.seconds,
        server_pid=server.pid,
        database_pid=server.launch.database_pid,
    )


def _frame_name(frame: dict[str, Any]) -> str:
    return f"{_short(frame.get('file') or '')} {frame['name']}".strip()


def _short(file: str) -> str:
    """The end of a path that tells files apart: from the package on."""
    parts: Sequence[str] = Path(file).parts
    for package in ("site-packages", "src"):
        if package in parts:
            return "/".join(_after(parts, package))
    return "/".join(parts[-2:])


def _after(parts: Iterable[str], name: str) -> Sequence[str]:
    found = list(parts)
    return found[len(found) - found[::-1].index(name) :]
