"""Turns runs into medians, ratios and tables.

Ratios are taken round by round, between servers that ran next to each other, and then their median: a noisy minute hits
both sides of a pair. Nothing here measures, and nothing here judges: a goal that is missed is printed, not raised.
"""

import platform
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec
import psutil

from bench.compare import Plan, Run
from bench.load import Level
from bench.servers import Kind

#: perdure's kind → the real server's kind that it is compared with. The real server has no PostgreSQL here, so
#: perdure on PostgreSQL is set beside the real server's other durable store.
PAIRS: Mapping[Kind, Kind] = {
    Kind.PERDURE_MEMORY: Kind.TEMPORAL_MEMORY,
    Kind.PERDURE_FILE: Kind.TEMPORAL_FILE,
    Kind.PERDURE_POSTGRES: Kind.TEMPORAL_FILE,
}

MEASURES: Mapping[str, Callable[[Level], float]] = {
    "per_second": lambda level: level.per_second,
    "p50_ms": lambda level: level.p50_ms,
    "p99_ms": lambda level: level.p99_ms,
    "server_cpu_ms": lambda level: level.server_cpu_ms,
    "database_cpu_ms": lambda level: level.database_cpu_ms,
    "client_cpu_ms": lambda level: level.client_cpu_ms,
    "resident_mb": lambda level: level.server_resident_bytes / 1e6,
    "database_mb": lambda level: level.database_bytes / 1e6,
    "others_cores": lambda level: level.others_cores,
    "completed": lambda level: level.completed_count_before + level.completed_count,
}

#: Measures whose ratios are shown. The client's CPU and the noise are no property of a server.
COMPARED = ("per_second", "p50_ms", "p99_ms", "server_cpu_ms", "resident_mb")


T = TypeVar("T")


class Summary(msgspec.Struct, frozen=True):
    """One server's medians at one level."""

    kind: Kind
    concurrency: int
    medians: dict[str, float]


class IdleSummary(msgspec.Struct, frozen=True):
    """One server's medians without load."""

    kind: Kind
    resident_mb: float
    cores: float
    answering_seconds: float
    stopping_seconds: float


class Ratio(msgspec.Struct, frozen=True):
    """perdure's figures divided by the real server's, at one level: median, smallest and largest over the rounds."""

    kind: Kind
    against: Kind
    #: 0 stands for the idle server.
    concurrency: int
    ratios: dict[str, tuple[float, float, float]]


class Report(msgspec.Struct, frozen=True):
    """Everything of one comparison; what `--json` writes."""

    machine: dict[str, str | int | float]
    plan: Plan
    runs: tuple[Run, ...]
    idle: tuple[IdleSummary, ...]
    summaries: tuple[Summary, ...]
    ratios: tuple[Ratio, ...]


class Goal(NamedTuple):
    """A ratio or figure that the project wants to reach. Printed beside what was measured, never enforced."""

    text: str
    measured: float
    reached: bool


def report(plan: Plan, runs: Sequence[Run], machine: dict[str, str | int | float]) -> Report:
    """Summarize the runs of one comparison."""
    return Report(
        machine=machine,
        plan=plan,
        runs=tuple(runs),
        idle=tuple(idle_summary(kind, _of(runs, kind)) for kind in plan.kinds if _of(runs, kind)),
        summaries=tuple(
            Summary(
                kind,
                concurrency,
                {
                    name: statistics.median(read(level) for level in levels.values())
                    for name, read in MEASURES.items()
                },
            )
            for kind in plan.kinds
            for concurrency in plan.concurrencies
            if (levels := _levels(runs, kind, concurrency))
        ),
        ratios=tuple(_ratios(plan, runs)),
    )


def idle_summary(kind: Kind, runs: Sequence[Run]) -> IdleSummary:
    """Medians of what a server costs without load."""
    return IdleSummary(
        kind,
        statistics.median(run.idle_resident_bytes / 1e6 for run in runs),
        statistics.median(run.idle_cores for run in runs),
        statistics.median(run.answering_seconds for run in runs),
        statistics.median(run.stopping_seconds for run in runs),
    )


def machine_facts(fsync_ms: float, pinned: str) -> dict[str, str | int | float]:
    """Describe the machine of the figures, without names of hosts or people."""
    return {
        "cpu": _cpu_model(),
        "cores": psutil.cpu_count() or 0,
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "fsync_ms": round(fsync_ms, 3),
        "pinned": pinned,
    }


def goals(result: Report) -> list[Goal]:
    """The project's goals for this benchmark, as far as this run has measured them."""
    wanted: tuple[tuple[Kind, float, float], ...] = (
        (Kind.PERDURE_MEMORY, 3.0, 1 / 4),
        (Kind.PERDURE_FILE, 4.0, 1 / 6),
    )
    found: list[Goal] = []
    if result.plan.scenario != "activity":
        wanted = ()
        found += [
            Goal(f"{each.kind.value}: ahead at {each.concurrency} at once", rate, rate > 1)
            for each in result.ratios
            if each.concurrency and "per_second" in each.ratios
            for rate in (each.ratios["per_second"][0],)
        ]
    for kind, faster, cheaper in wanted:
        for ratio in result.ratios:
            if ratio.kind is not kind or ratio.concurrency != 19:
                continue
            rate, cpu = ratio.ratios["per_second"][0], ratio.ratios["server_cpu_ms"][0]
            found.append(
                Goal(
                    f"{kind.value}: ≥ {faster:g} times the workflows a second at 19 at once",
                    rate,
                    rate >= faster,
                )
            )
            found.append(
                Goal(
                    f"{kind.value}: ≤ 1/{1 / cheaper:g} of the CPU per workflow at 19 at once",
                    cpu,
                    cpu <= cheaper,
                )
            )
    for idle in result.idle:
        if idle.kind.is_perdure:
            found.append(
                Goal(
                    f"{idle.kind.value}: < 90 MB resident when idle",
                    idle.resident_mb,
                    idle.resident_mb < 90,
                )
            )
    return found


def as_text(result: Report) -> str:
    """The whole report as Markdown."""
    sections = [
        "## Under load (medians)\n",
        table(
            ("server", "at once", "workflows/s", "p50 ms", "p99 ms", "server CPU ms", "DB CPU ms",
             "client CPU ms", "server MB", "DB MB", "run so far", "others' cores"),
            (
                (
                    summary.kind.value,
                    str(summary.concurrency),
                    *(
                        figure(summary.medians[name])
                        for name in (
                            "per_second", "p50_ms", "p99_ms", "server_cpu_ms", "database_cpu_ms",
                            "client_cpu_ms", "resident_mb", "database_mb", "completed", "others_cores",
                        )
                    ),
                )
                for summary in result.summaries
            ),
        ),
        "\n## Idle (medians)\n",
        table(
            ("server", "resident MB", "cores used", "answers after s", "stops within s"),
            (
                (
                    idle.kind.value,
                    figure(idle.resident_mb),
                    f"{idle.cores:.4f}",
                    figure(idle.answering_seconds),
                    figure(idle.stopping_seconds),
                )
                for idle in result.idle
            ),
        ),
    ]  # fmt: skip
    if result.ratios:
        sections += [
            "\n## Ratios, pair by pair (median, and the range over the rounds)\n",
            _ratio_table(result),
        ]
    if reached := goals(result):
        sections += [
            "\n## Goals\n",
            table(
                ("goal", "measured", ""),
                (
                    (goal.text, figure(goal.measured), "reached" if goal.reached else "NOT YET")
                    for goal in reached
                ),
            ),
        ]
    return "\n".join(sections)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table with aligned columns."""
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = [
        "| " + " | ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ) + " |"
        for line in lines
    ]  # fmt: skip
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


def figure(value: float) -> str:
    """Three significant digits, no exponent."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _ratio_table(result: Report) -> str:
    return table(
        ("perdure / real server", "at once", *COMPARED),
        (
            (
                f"{ratio.kind.value} / {ratio.against.value}",
                str(ratio.concurrency) if ratio.concurrency else "idle",
                *(
                    "{:.2f} ({:.2f} to {:.2f})".format(*ratio.ratios[name])
                    if name in ratio.ratios
                    else ""
                    for name in COMPARED
                ),
            )
            for ratio in result.ratios
        ),
    )


def _ratios(plan: Plan, runs: Sequence[Run]) -> Iterable[Ratio]:
    for kind, against in PAIRS.items():
        idle = [
            (ours.idle_resident_bytes, theirs.idle_resident_bytes)
            for ours, theirs in _pairs(
                {run.round_number: run for run in _of(runs, kind)},
                {run.round_number: run for run in _of(runs, against)},
            )
        ]
        if idle:
            yield Ratio(
                kind, against, 0, {"resident_mb": _spread(ours / theirs for ours, theirs in idle)}
            )
        for concurrency in plan.concurrencies:
            pairs = _pairs(_levels(runs, kind, concurrency), _levels(runs, against, concurrency))
            if pairs:
                yield Ratio(
                    kind,
                    against,
                    concurrency,
                    {
                        name: _spread(
                            MEASURES[name](ours) / MEASURES[name](theirs) for ours, theirs in pairs
                        )
                        for name in COMPARED
                    },
                )


def _pairs(ours: Mapping[int, T], theirs: Mapping[int, T]) -> list[tuple[T, T]]:
    return [(ours[number], theirs[number]) for number in sorted(ours.keys() & theirs.keys())]


def _spread(values: Iterable[float]) -> tuple[float, float, float]:
    found = list(values)
    return statistics.median(found), min(found), max(found)


def _of(runs: Sequence[Run], kind: Kind) -> list[Run]:
    return [run for run in runs if run.kind is kind]


def _levels(runs: Sequence[Run], kind: Kind, concurrency: int) -> dict[int, Level]:
    """Round number → what was measured in it."""
    return {
        run.round_number: level
        for run in _of(runs, kind)
        for level in run.levels
        if level.concurrency == concurrency
    }


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except FileNotFoundError:
        # Not Linux: the architecture has to do.
        pass
    return platform.machine()
