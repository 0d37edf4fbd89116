"""Lets one thing grow large on a server, while a probe tells how long everybody else waits for it.

Why it exists: means hide stalls. A reset of 50,000 events costs little on the whole, and yet nobody may be answered
while it goes on. The probe calls `DescribeNamespace` every 50 ms, whatever the calls before took; at the same time
another one calls a server that has nothing to do, the control: it tells how much of a stall is the machine's own.
"""

import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
import psutil

from bench import usage
from bench.contenders import Contender
from bench.lab import Lab, progress
from bench.raw import Driver, Found, Peak, Probe, Probed
from bench.report import figure, table
from bench.servers import Kind, Launch, Running, running, start

CALM_SECONDS = 1.0
START_SECONDS_MAX = 900.0
#: Each task of a history that grows has ten events: seven markers, and three of the task itself.
EVENTS_PER_TASK = 10
MIB = 1 << 20
WANTED_PROBE_P99_MS = 50.0


class Pace(NamedTuple):
    """How long those parts of a scenario last that end by the clock, in seconds."""

    rest: float = 15.0
    #: After large payloads: long enough for a sweep that gives memory back.
    long_rest: float = 35.0
    drain: float = 40.0
    polls: float = 75.0
    #: The most that the first task after a start may take.
    first_task: float = 120.0


ORDINARY = Pace()


class Step(msgspec.Struct, frozen=True):
    """The figures of one step of a scenario on one server."""

    server: str
    name: str
    #: How many tasks, events, calls or workflows there were.
    count: int
    seconds: float
    server_cpu_seconds: float
    before_bytes: int
    peak_bytes: int
    after_bytes: int
    probe: Probed = Probed()
    control: Probed = Probed()
    #: Words for what has no column.
    remark: str = ""
    scenario: str = ""


def measure(
    lab: Lab, servers: Sequence[Contender], driver: Driver, names: Sequence[str], scale: float
) -> Iterator[Step]:
    """Play each scenario on each server, one after the other; give each step as soon as it is done."""
    for name in names:
        for contender in servers:
            progress(f"{name}: {contender.name}")
            scenario = SCENARIOS[name]
            settings = scenario.settings
            if not contender.kind.is_perdure:
                settings = tuple(each for each in settings if each.startswith("limit."))
            launch = contender.launch(lab, f"{name}-{contender.name}", settings)
            control = lab.launch(Kind.PERDURE_MEMORY, f"{name}-{contender.name}-control")
            with running(control) as idle:
                stage = Stage(contender, driver, launch, idle)
                try:
                    for step in scenario.play(stage, max(1, int(scenario.size * scale))):
                        yield msgspec.structs.replace(step, scenario=name)
                finally:
                    stage.close()
            shutil.rmtree(launch.directory)
            shutil.rmtree(control.directory)


class Stage:
    """One server and its control, while a scenario is played."""

    def __init__(
        self,
        contender: Contender,
        driver: Driver,
        launch: Launch,
        control: Running,
        pace: Pace = ORDINARY,
    ) -> None:
        self._contender = contender
        self._launch = launch
        self._control = control
        self.pace = pace
        self.driver = driver
        self.server = start(launch, START_SECONDS_MAX)

    @property
    def is_durable(self) -> bool:
        """Whether the server can start again with what it had."""
        return self._launch.kind.is_durable

    def close(self) -> None:
        """Stop the server, if it has not ended."""
        if self.server.process.poll() is None:
            self.server.stop()

    def watched(self, name: str, do: Callable[[], Found], *, what: str = "") -> Step:
        """Do something while both probes run, and tell what it cost."""
        before_bytes = usage.resident_bytes(self.server.pid)
        probe, control = self._probes()
        peak = Peak(self.server)
        # The first probes connect.
        time.sleep(CALM_SECONDS)
        cpu = usage.cpu_seconds(self.server.pid)
        found = do()
        cpu = usage.cpu_seconds(self.server.pid) - cpu
        remarks = [what] if what else []
        if found.refused:
            remarks.append("refused: " + _counts(found.refused))
        if found.answers:
            remarks.append("answers: " + _counts(found.answers))
        if found.first_task_seconds:
            remarks.append(f"first task after {figure(found.first_task_seconds)} s")
        return Step(
            server=self._contender.name,
            name=name,
            count=found.count,
            seconds=found.seconds,
            server_cpu_seconds=cpu,
            before_bytes=before_bytes,
            probe=probe.end(),
            control=control.end(),
            peak_bytes=peak.end(),
            after_bytes=usage.resident_bytes(self.server.pid),
            remark=", ".join(remarks),
        )

    def drive(self, name: str, command: str, *flags: object) -> Step:
        """Watch one command of the driver."""
        return self.watched(name, lambda: self.driver.run(command, self.server, *flags))

    def rest(self, name: str = "rest", seconds: float | None = None) -> Step:
        """Do nothing, and see how much memory is left."""
        lasts = self.pace.rest if seconds is None else seconds

        def wait() -> Found:
            time.sleep(lasts)
            return Found(seconds=lasts)

        return self.watched(name, wait)

    def crash_and_start(self) -> Step:
        """Kill the server with SIGKILL and start it: how long until it answers, and what has it cost by then?"""
        self.server.stop(signal.SIGKILL)
        self.server = start(self._launch, START_SECONDS_MAX)
        resident = usage.resident_bytes(self.server.pid)
        return Step(
            server=self._contender.name,
            name="kill -9 and a start, until the first answer",
            count=1,
            seconds=self.server.answering_seconds,
            server_cpu_seconds=usage.cpu_seconds(self.server.pid),
            before_bytes=0,
            peak_bytes=resident,
            after_bytes=resident,
            remark=f"port open after {figure(self.server.listening_seconds)} s",
        )

    def _probes(self) -> tuple[Probe, Probe]:
        return self.driver.probe(self.server), self.driver.probe(self._control)


# The scenarios


def reset(stage: Stage, size: int) -> Iterator[Step]:
    """A run with a long history is reset, and its history is read."""
    tasks = max(3, size // EVENTS_PER_TASK)
    stage.driver.run("start", stage.server, "-count", 1, "-prefix", "long", "-queue", "long")
    grow = ("-queue", "long", "-sticky", "-events", size, "-count", 1, "-pollers", 2)
    yield stage.drive("the history grows", "work", *grow)
    yield stage.drive("all of it is read", "history", "-id", "long-1")
    # The first task is completed with event 4.
    for where, number in (("the end", tasks - 2), ("the middle", tasks // 2)):
        event = 4 + EVENTS_PER_TASK * number
        yield stage.drive(f"reset to {where}", "reset", "-id", "long-1", "-event", event)
        backward = ("-id", "long-1", "-reverse", "-pages", 3)
        yield stage.drive("3 pages are read backward", "history", *backward)
        yield stage.drive("all of it is read", "history", "-id", "long-1")
        once = ("-queue", "long", "-events", 1, "-count", 1, "-pollers", 1)
        yield stage.drive("a worker gets all of it", "work", *once)


def fan_out(stage: Stage, size: int) -> Iterator[Step]:
    """One workflow calls many activities at once."""
    for count in (max(1, size // 16), size):
        flags = ("-count", 1, "-at-once", 1, "-activities", count)
        found = stage.drive(f"{count:,} activities", "workflows", *flags)
        yield msgspec.structs.replace(found, count=count)
    yield stage.rest()


def backlog(stage: Stage, size: int) -> Iterator[Step]:
    """Many runs have a task and no worker; the server is killed; then workers come."""
    yield stage.drive("the backlog grows", "start", "-count", size)
    yield stage.rest()
    drain = ("-seconds", stage.pace.drain, "-pollers", 64)
    yield stage.drive(f"workers drain it for {stage.pace.drain:.0f} s", "work", *drain)
    yield stage.rest()
    if not stage.is_durable:
        return
    yield stage.crash_and_start()
    first = ("-count", 1, "-seconds", stage.pace.first_task, "-pollers", 1)
    yield stage.drive("the first task", "work", *first)
    yield stage.rest("the rest is loaded")
    yield stage.drive(f"workers drain it for {stage.pace.drain:.0f} s", "work", *drain)
    yield stage.rest()


def payloads(stage: Stage, size: int) -> Iterator[Step]:
    """Activities return 1 MiB each."""
    large = ("-at-once", 20, "-count", size, "-result-bytes", MIB)
    yield stage.drive("results of 1 MiB", "workflows", *large)
    yield stage.rest(seconds=stage.pace.long_rest)
    yield stage.drive("small ones afterwards", "workflows", "-at-once", 20, "-count", 300)
    yield stage.rest()


def burst(stage: Stage, size: int) -> Iterator[Step]:
    """Thousands of starts come at one moment. No client of them tries again."""
    for connections in (4, 40):
        flags = ("-count", size, "-connections", connections)
        yield stage.drive(f"{size:,} starts on {connections} connections", "burst", *flags)


def polls(stage: Stage, size: int) -> Iterator[Step]:
    """Many polls come together, and are over a minute later."""

    def wait() -> Found:
        began = time.perf_counter()
        with stage.driver.waiting_pollers(stage.server, size):
            time.sleep(stage.pace.polls)
        return Found(seconds=time.perf_counter() - began, count=size)

    yield stage.watched(f"{size:,} polls for {stage.pace.polls:.0f} s", wait)


class Scenario(msgspec.Struct, frozen=True):
    """One thing that grows."""

    play: Callable[[Stage, int], Iterator[Step]]
    size: int
    #: KEY=VALUE settings of the dynamic configuration.
    settings: tuple[str, ...] = ()


SCENARIOS: Mapping[str, Scenario] = {
    "reset": Scenario(reset, 50_000),
    "fan-out": Scenario(fan_out, 10_000, ("limit.numPendingActivities.error=20000",)),
    "backlog": Scenario(backlog, 200_000),
    "payloads": Scenario(payloads, 500),
    "burst": Scenario(burst, 4_000),
    "polls": Scenario(polls, 1_000),
}


def as_text(steps: Sequence[Step]) -> str:
    """A table for each scenario."""
    sections = []
    for scenario in dict.fromkeys(step.scenario for step in steps):
        rows = (_row(step) for step in steps if step.scenario == scenario)
        sections.append(f"## {scenario}: {(SCENARIOS[scenario].play.__doc__ or '').strip()}\n")
        sections.append(table(_HEAD, rows) + "\n")
    cores = psutil.cpu_count() or 0
    sections.append(
        "Probe and control: p50 / p99 / most, in ms on the clock. "
        f"Wanted is a p99 of {WANTED_PROBE_P99_MS:.0f} ms on a quiet machine; this one has {cores} cores."
    )
    return "\n".join(sections)


_HEAD = (
    "step", "server", "s", "server CPU s", "CPU ms each", "probe", "control",
    "MB before, most, after", "",
)  # fmt: skip


def _row(step: Step) -> tuple[str, ...]:
    each = step.server_cpu_seconds / max(1, step.count) * 1e3
    return (
        step.name,
        step.server,
        figure(step.seconds),
        figure(step.server_cpu_seconds),
        figure(each) if step.count > 1 else "",
        _probed(step.probe),
        _probed(step.control),
        ", ".join(
            f"{size / 1e6:.0f}"
            for size in (step.before_bytes, step.peak_bytes, step.after_bytes)
            if size
        ),
        step.remark,
    )


def _probed(found: Probed) -> str:
    if not found.count:
        return ""
    text = f"{figure(found.p50_ms)} / {figure(found.p99_ms)} / {figure(found.max_ms)}"
    return text if not found.refused_count else f"{text}, {found.refused_count} refused"


def _counts(found: Mapping[str, int]) -> str:
    """The most frequent first, the words of a refusal cut short."""
    ordered = sorted(found.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} {words[:80]}" for words, count in ordered[:3])
