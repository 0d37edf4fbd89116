"""The command line: `python -m bench [MODE]`; the modes are listed in `_parser`, and without one it is `compare`."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench import (
    compare,
    go_programs,
    growth,
    idle_runs,
    long_history,
    per_core,
    per_core_report,
    profiling,
    report,
    retention,
    visibility,
)
from bench.contenders import STORES, Beside, contenders
from bench.cores import Cores, Pin
from bench.lab import fsync_ms, laboratory, progress
from bench.raw import Driver
from bench.scenarios import SCENARIOS
from bench.servers import Kind, available

RESULTS = Path(__file__).parent / "results"
PLANS = Path(__file__).parent.parent / "docs" / "visibility-plans.md"
#: The real server's development mode has one shard, whose queue readers load at most 20 times a second each.
UNTHROTTLED = tuple(
    f"history.{queue}ProcessorMaxPollRPS=5000" for queue in ("transfer", "timer", "visibility")
)
#: The real server on PostgreSQL has to be built, so only the mode `core` has it.
SIDE_BY_SIDE = tuple(kind for kind in Kind if kind is not Kind.TEMPORAL_POSTGRES)
DURABLE = (Kind.PERDURE_FILE, Kind.PERDURE_POSTGRES)


def main(arguments: Sequence[str]) -> int:
    """Parse the command line and run one mode."""
    options = _parser().parse_args(arguments)
    options.run(options)
    return 0


def run_compare(options: argparse.Namespace) -> None:
    """Measure the servers side by side; print the tables and write the JSON."""
    plan = compare.Plan(
        scenario=options.scenario,
        kinds=chosen_kinds(options.servers, SIDE_BY_SIDE),
        rounds_count=options.rounds or (1 if options.quick else 5),
        concurrencies=tuple(options.at_once or SCENARIOS[options.scenario].at_once),
        warm_up_seconds=0.5 if options.quick else 3.0,
        window_seconds=options.seconds or (2.5 if options.quick else 10.0),
        idle_seconds=1.5 if options.quick else 5.0,
    )
    with laboratory(
        options.data_dir,
        Cores.split(Pin(options.pin)),
        plan.kinds,
        UNTHROTTLED if options.unthrottled else (),
    ) as lab:
        machine = report.machine_facts(fsync_ms(lab.place), options.pin)
        runs = list(compare.compare(plan, lab))
    result = report.report(plan, runs, machine)
    print(f"# {SCENARIOS[plan.scenario].describes}\n")
    print(", ".join(f"{name}: {value}" for name, value in machine.items()) + "\n")
    print(report.as_text(result))
    write(result, options.json, "compare")


def run_core(options: argparse.Namespace) -> None:
    """Measure the servers on one core each, without an SDK."""
    plan = per_core.Plan(
        parts=tuple(options.parts),
        rounds_count=options.rounds,
        at_once=tuple(options.at_once),
        workflows_count=options.workflows,
        calls_count=options.calls,
        pollers_counts=tuple(options.pollers),
    )
    servers = list(contenders(options.stores, options.beside, has_real=not options.without_real))
    cores = Cores.one_each()
    driver = Driver(go_programs.driver(), cores.client)
    runs = []
    path = options.json or new_path("core")
    with laboratory(options.data_dir, Cores((), ()), [each.kind for each in servers]) as lab:
        # PostgreSQL has started on all cores, and stays there.
        for run in per_core.measure(plan, lab._replace(cores=cores), servers, driver):
            runs.append(run)
            write(runs, path, "core")
    print(per_core_report.as_text(runs))


def run_growth(options: argparse.Namespace) -> None:
    """Let one thing grow large on each server, with a probe beside it."""
    servers = list(contenders([options.store], options.beside, has_real=options.with_real))
    driver = Driver(go_programs.driver())
    steps = []
    path = options.json or new_path("growth")
    with laboratory(options.data_dir, Cores((), ()), [each.kind for each in servers]) as lab:
        for step in growth.measure(lab, servers, driver, options.scenarios, options.scale):
            steps.append(step)
            write(steps, path, "growth")
    print(growth.as_text(steps))


def run_history(options: argparse.Namespace) -> None:
    """Grow one long history on each server."""
    kinds = chosen_kinds(options.servers, DURABLE)
    with laboratory(options.data_dir, Cores.split(Pin(options.pin)), kinds) as lab:
        parts = list(long_history.grow(lab, kinds, options.events))
    print(long_history.as_text(parts))
    write(parts, options.json, "history")


def run_idle(options: argparse.Namespace) -> None:
    """Let many runs wait on each server."""
    kinds = chosen_kinds(options.servers, DURABLE)
    with laboratory(options.data_dir, Cores.split(Pin(options.pin)), kinds) as lab:
        found = list(idle_runs.wait_idle(lab, kinds, options.runs, options.seconds))
    print(idle_runs.as_text(found))
    write(found, options.json, "idle")


def run_retention(options: argparse.Namespace) -> None:
    """Start workflows while others are removed."""
    kinds = chosen_kinds(options.servers, DURABLE)
    with laboratory(options.data_dir, Cores.split(Pin(options.pin)), kinds) as lab:
        found = list(
            retention.measure(lab, kinds, options.backlog, options.rounds, options.seconds)
        )
    print(retention.as_text(found))
    write(found, options.json, "retention")


def run_visibility(options: argparse.Namespace) -> None:
    """List and count by filters among many executions."""
    with laboratory(
        options.data_dir, Cores.split(Pin(options.pin)), [Kind.PERDURE_POSTGRES]
    ) as lab:
        found = visibility.measure(lab, options.executions)
    print(visibility.as_text(found))
    if options.plans:
        visibility.write_plans(found, PLANS)
        progress(f"wrote {PLANS}")
    write(found, options.json, "visibility")


def run_profile(options: argparse.Namespace) -> None:
    """Show where perdure's time goes."""
    plan = profiling.Plan(
        kind=Kind(options.server),
        scenario=options.scenario,
        concurrency=options.at_once,
        seconds=options.seconds,
        native=options.native,
        results=options.results,
    )
    with laboratory(options.data_dir, Cores.split(Pin(options.pin)), [plan.kind]) as lab:
        print(profiling.profile(plan, lab))


def write(result: object, path: Path | None, name: str) -> None:
    """Keep a result as JSON, in the given file or under `bench/results/`."""
    path = path or new_path(name)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    progress(f"wrote {path}")


def new_path(name: str) -> Path:
    """Return a file for a result that nobody has named."""
    RESULTS.mkdir(exist_ok=True)
    return RESULTS / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.json"


def chosen_kinds(names: Sequence[str], default: Sequence[Kind]) -> tuple[Kind, ...]:
    """The kinds asked for, or those of `default` whose executable is there."""
    if names:
        return tuple(Kind(name) for name in names)
    kinds = tuple(kind for kind in default if available(kind))
    for kind in default:
        if kind not in kinds:
            progress(f"left out {kind.value}: its executable is not in this environment")
    return kinds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    modes = parser.add_subparsers(required=True)

    one = modes.add_parser("compare", help="the servers side by side")
    one.set_defaults(run=run_compare)
    one.add_argument("--quick", action="store_true", help="one round, in under two minutes")
    one.add_argument("--rounds", type=int, help="rounds over all servers (default: 5)")
    one.add_argument("--seconds", type=float, help="length of a measuring window (default: 10)")
    one.add_argument("--at-once", type=int, nargs="+", default=[], metavar="N")
    one.add_argument(
        "--unthrottled",
        action="store_true",
        help="lift the limits of the real server's queue readers, which hold it back at 1 at once",
    )
    one.add_argument("--scenario", choices=sorted(SCENARIOS), default="activity")

    _add_core(modes.add_parser("core", help="CPU and memory on one core, without an SDK"))
    _add_growth(modes.add_parser("growth", help="what grows large, with a probe beside it"))

    two = modes.add_parser("history", help="one run whose history grows long")
    two.set_defaults(run=run_history)
    two.add_argument("--events", type=int, default=10_000, help="how long (default: 10000)")

    three = modes.add_parser("idle", help="many open runs that only wait")
    three.set_defaults(run=run_idle)
    three.add_argument("--runs", type=int, default=100_000, help="how many (default: 100000)")
    three.add_argument("--seconds", type=float, default=20.0, help="how long to watch them")

    six = modes.add_parser("visibility", help="lists and counts by filters in PostgreSQL")
    six.set_defaults(run=run_visibility)
    six.add_argument("--executions", type=int, default=1_000_000, metavar="N")
    six.add_argument(
        "--plans", action="store_true", help=f"write EXPLAIN's answers to {PLANS.name}"
    )
    six.add_argument("--json", type=Path, help="where to write the result")
    _add_surroundings(six)

    five = modes.add_parser("retention", help="starts while closed workflows are removed")
    five.set_defaults(run=run_retention)
    five.add_argument("--backlog", type=int, default=50_000, help="how many are due")
    five.add_argument("--rounds", type=int, default=3, help="rounds over all servers")
    five.add_argument("--seconds", type=float, default=10.0, help="length of a window")

    for mode in (one, two, three, five):
        mode.add_argument(
            "--servers",
            nargs="+",
            default=[],
            choices=[kind.value for kind in SIDE_BY_SIDE],
            metavar="KIND",
            help=f"some of: {', '.join(kind.value for kind in SIDE_BY_SIDE)}",
        )
        mode.add_argument("--json", type=Path, help="where to write the result")
        _add_surroundings(mode)

    four = modes.add_parser("profile", help="where perdure's time goes")
    four.set_defaults(run=run_profile)
    four.add_argument(
        "--server",
        default=Kind.PERDURE_MEMORY.value,
        choices=[kind.value for kind in Kind if kind.is_perdure],
    )
    four.add_argument("--scenario", choices=sorted(SCENARIOS), default="activity")
    four.add_argument("--at-once", type=int, default=19, metavar="N")
    four.add_argument("--seconds", type=float, default=15.0)
    four.add_argument("--native", action="store_true", help="show C functions of extensions too")
    four.add_argument("--results", type=Path, default=RESULTS, help="where to keep the profiles")
    _add_surroundings(four)
    return parser


def _add_core(mode: argparse.ArgumentParser) -> None:
    mode.set_defaults(run=run_core)
    mode.add_argument("--stores", nargs="+", choices=STORES, default=list(STORES))
    mode.add_argument("--parts", nargs="+", choices=per_core.PARTS, default=list(per_core.PARTS))
    mode.add_argument("--rounds", type=int, default=4, help="each the other way round (default: 4)")
    mode.add_argument("--at-once", type=int, nargs="+", default=[1, 19], metavar="N")
    mode.add_argument("--workflows", type=int, default=600, help="of each level")
    mode.add_argument("--calls", type=int, default=3000, help="of each kind")
    mode.add_argument("--pollers", type=int, nargs="+", default=[1000, 3000], metavar="N")
    mode.add_argument("--without-real", action="store_true", help="leave the real server out")
    _add_beside(mode)


def _add_growth(mode: argparse.ArgumentParser) -> None:
    mode.set_defaults(run=run_growth)
    names = sorted(growth.SCENARIOS)
    mode.add_argument("--scenarios", nargs="+", choices=names, default=names)
    mode.add_argument("--store", choices=STORES, default="file")
    mode.add_argument("--scale", type=float, default=1.0, help="of all sizes (default: 1)")
    mode.add_argument("--with-real", action="store_true", help="the real server too")
    _add_beside(mode)


def _add_beside(mode: argparse.ArgumentParser) -> None:
    mode.add_argument(
        "--beside",
        type=Beside.parse,
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="another checkout's perdure, to be measured in turns with this one",
    )
    mode.add_argument("--json", type=Path, help="where to write the result")
    mode.add_argument(
        "--data-dir", type=Path, default=Path("/var/tmp"), help="where the servers keep their data"
    )


def _add_surroundings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pin",
        choices=[pin.value for pin in Pin],
        default=Pin.CLIENT.value,
        help="who is held to one half of the cores (default: client)",
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=Path("/var/tmp"),
        help="where the servers keep their data: on a disk, as an fsync in RAM costs nothing",
    )


if __name__ == "__main__":
    given = sys.argv[1:]
    is_mode = bool(given) and (not given[0].startswith("-") or given[0] in ("-h", "--help"))
    sys.exit(main(given if is_mode else ["compare", *given]))
