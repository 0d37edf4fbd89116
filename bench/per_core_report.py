"""Turns the runs of `per_core` into tables: medians and ranges, ratios pair by pair, and the figures that are wanted.

Nothing here measures, and nothing here judges: a goal that is missed is printed, not raised.
"""

import statistics
from collections.abc import Callable, Iterable, Sequence

from bench.contenders import PERDURE, REAL
from bench.per_core import CALLS, Run
from bench.raw import Found
from bench.report import table

KB = 1000
#: Store → CPU milliseconds of a workflow of one activity at 19 at once, and workflows per core to the real server.
WANTED_CPU_MS = {"memory": 2.5, "file": 3.2, "postgres": 3.0}
WANTED_TIMES = {"memory": 9.0, "file": 20.0, "postgres": 10.0}
WANTED_SIGNAL_CPU_MS = 0.28
WANTED_IDLE_MB = 52.0
WANTED_POLLER_KB = 6.0
WANTED_P50_MS = 6.0
WANTED_AT_ONCE = 19


class Spread:
    """The median of some values, and their range."""

    def __init__(self, values: Iterable[float]) -> None:
        self.values = sorted(values)

    @property
    def median(self) -> float:
        """The middle value; the mean of both, if there are two."""
        return statistics.median(self.values)

    def text(self, digits: int = 2) -> str:
        """`median (smallest to largest)`, or the one value; empty if there is none."""
        if not self.values:
            return ""
        if len(self.values) == 1:
            return f"{self.median:.{digits}f}"
        low, high = self.values[0], self.values[-1]
        return f"{self.median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def as_text(runs: Sequence[Run]) -> str:
    """The whole report as Markdown."""
    names = list(dict.fromkeys(run.server for run in sorted(runs, key=_place)))
    sections = []
    if any(run.workflows for run in runs):
        sections += ["## Workflows of one activity\n", _workflows(runs, names)]
        sections += ["\n## Ratios, pair by pair\n", _ratios(runs)]
    if any(run.calls for run in runs):
        sections += ["\n## CPU milliseconds of a call\n", _calls(runs, names)]
    sections += ["\n## Memory\n", _memory(runs, names)]
    if goals := list(_goals(runs)):
        sections += ["\n## Wanted\n", table(("figure", "measured", "wanted", ""), goals)]
    loads = [run.load for run in runs]
    sections.append(f"\nThe machine's load was {min(loads):.0f} to {max(loads):.0f}.")
    return "\n".join(sections)


def _place(run: Run) -> tuple[int, int]:
    """Where a server stands in a table: by store, then what is beside, perdure, the real one."""
    return list(WANTED_CPU_MS).index(run.store), {PERDURE: 1, REAL: 2}.get(run.product, 0)


def _of(runs: Sequence[Run], name: str) -> list[Run]:
    return [run for run in runs if run.server == name]


def _at_once(runs: Sequence[Run]) -> list[int]:
    return sorted({at_once for run in runs for at_once in run.workflows})


def _workflows(runs: Sequence[Run], names: Sequence[str]) -> str:
    rows = []
    for name in names:
        for at_once in _at_once(runs):
            found = [run.workflows[at_once] for run in _of(runs, name) if at_once in run.workflows]
            rows.append((
                name, str(at_once), *(
                    Spread(read(each) for each in found).text(digits)
                    for read, digits in _MEASURES
                ),
            ))  # fmt: skip
    return table(
        ("server", "at once", "server CPU ms", "database CPU ms", "workflows a CPU second",
         "p50 ms", "p99 ms"),
        rows,
    )  # fmt: skip


_MEASURES: tuple[tuple[Callable[[Found], float], int], ...] = (
    (lambda found: found.server_cpu_ms, 2),
    (lambda found: found.database_cpu_ms, 2),
    (lambda found: 1e3 / found.server_cpu_ms, 0),
    (lambda found: found.p50_ms, 1),
    (lambda found: found.p99_ms, 1),
)


def pairs(
    runs: Sequence[Run], store: str, ours: str, theirs: str, read: Callable[[Run], float | None]
) -> Spread:
    """Divide what `read` finds of one product by what it finds of another, round by round."""
    found: dict[str, dict[int, float]] = {ours: {}, theirs: {}}
    for run in runs:
        value = read(run)
        if run.store == store and run.product in found and value:
            found[run.product][run.round_number] = value
    both = found[ours].keys() & found[theirs].keys()
    return Spread(found[ours][number] / found[theirs][number] for number in both)


def _cpu_ms(at_once: int) -> Callable[[Run], float | None]:
    return lambda run: run.workflows[at_once].server_cpu_ms if at_once in run.workflows else None


def _all_cpu_ms(at_once: int) -> Callable[[Run], float | None]:
    return lambda run: (
        run.workflows[at_once].server_cpu_ms + run.workflows[at_once].database_cpu_ms
        if at_once in run.workflows
        else None
    )


def _call_cpu_ms(kind: str) -> Callable[[Run], float | None]:
    return lambda run: run.calls[kind].server_cpu_ms if kind in run.calls else None


def _ratios(runs: Sequence[Run]) -> str:
    """The CPU of this perdure to those beside; and workflows per core, perdure's to the real server's."""
    rows = []
    products = list(dict.fromkeys(run.product for run in runs))
    for store in dict.fromkeys(run.store for run in sorted(runs, key=_place)):
        for at_once in _at_once(runs):
            for other in products:
                if other in (PERDURE, REAL):
                    continue
                spread = pairs(runs, store, PERDURE, other, _cpu_ms(at_once))
                rows.append((f"CPU, perdure to {other}", store, str(at_once), spread.text()))
            for ours in products:
                if ours == REAL:
                    continue
                for what, read in (("server", _cpu_ms), ("server and database", _all_cpu_ms)):
                    spread = pairs(runs, store, REAL, ours, read(at_once))
                    if spread.values and (what == "server" or store == "postgres"):
                        name = f"workflows a CPU second of the {what}, {ours} to the real server"
                        rows.append((name, store, str(at_once), spread.text(1)))
    return table(("ratio", "store", "at once", "median (range)"), rows)


def _calls(runs: Sequence[Run], names: Sequence[str]) -> str:
    rows = [
        (
            name,
            *(
                Spread(run.calls[kind].server_cpu_ms for run in _of(runs, name) if run.calls).text()
                for kind in CALLS
            ),
        )
        for name in names
    ]
    others = {run.product for run in runs} - {PERDURE, REAL}
    for other in sorted(others):
        for store in dict.fromkeys(run.store for run in sorted(runs, key=_place)):
            rows.append((
                f"perdure to {other}, {store}",
                *(pairs(runs, store, PERDURE, other, _call_cpu_ms(kind)).text() for kind in CALLS),
            ))  # fmt: skip
    return table(("server", *CALLS), rows)


def _memory(runs: Sequence[Run], names: Sequence[str]) -> str:
    counts = sorted({count for run in runs for count in run.pollers})
    return table(
        ("server", "idle MB", "after the load MB", *(f"KB a poller of {n:,}" for n in counts)),
        (
            (
                name,
                Spread(run.idle_bytes / 1e6 for run in _of(runs, name)).text(1),
                Spread(run.used_bytes / 1e6 for run in _of(runs, name)).text(1),
                *(_poller_kb(_of(runs, name), count).text(1) for count in counts),
            )
            for name in names
        ),
    )


def _poller_kb(runs: Sequence[Run], count: int) -> Spread:
    waiting = [run.pollers[count] for run in runs if count in run.pollers]
    return Spread((each.waiting_bytes - each.before_bytes) / count / KB for each in waiting)


def _goals(runs: Sequence[Run]) -> Iterable[tuple[str, str, str, str]]:
    """Give (figure, measured, wanted, whether it is reached)."""

    def row(
        figure: str, spread: Spread, wanted: float, *, is_most: bool = True
    ) -> Iterable[tuple[str, str, str, str]]:
        if spread.values:
            is_reached = spread.median <= wanted if is_most else spread.median >= wanted
            sign = "≤" if is_most else "≥"
            yield (
                figure,
                spread.text(),
                f"{sign} {wanted:g}",
                "reached" if is_reached else "NOT YET",
            )

    ours = [run for run in runs if run.product == PERDURE]
    for store, wanted in WANTED_CPU_MS.items():
        found = [cpu for run in ours if run.store == store if (cpu := _cpu_ms(WANTED_AT_ONCE)(run))]
        yield from row(f"server CPU of a workflow, {store}, ms", Spread(found), wanted)
    for store, wanted in WANTED_TIMES.items():
        times = pairs(runs, store, REAL, PERDURE, _cpu_ms(WANTED_AT_ONCE))
        yield from row(
            f"workflows per core to the real server, {store}", times, wanted, is_most=False
        )
    signals = [
        cpu for run in ours if (cpu := _call_cpu_ms("signal")(run)) and run.store == "memory"
    ]
    yield from row("server CPU of a signal, memory, ms", Spread(signals), WANTED_SIGNAL_CPU_MS)
    idle = [run.idle_bytes / 1e6 for run in ours if run.store == "memory"]
    yield from row("idle, memory, MB", Spread(idle), WANTED_IDLE_MB)
    for count in sorted({count for run in ours for count in run.pollers}):
        yield from row(
            f"a waiting poller of {count:,}, KB", _poller_kb(ours, count), WANTED_POLLER_KB
        )
    alone = [
        run.workflows[1].p50_ms for run in ours if run.store == "memory" and 1 in run.workflows
    ]
    yield from row("1 at once, p50, memory, ms", Spread(alone), WANTED_P50_MS)
