"""Runs the servers in turn, round after round: A B A B …

Why in turn: on a shared machine the noise changes by the minute. Two servers measured one after the other have had
nearly the same noise, so each round gives one ratio, and the median over the rounds is what counts. Only one server
runs at a time.
"""

import shutil
import time
from collections.abc import Iterator

import msgspec

from bench import usage
from bench.lab import Lab, client_lines, progress
from bench.load import Level, Order
from bench.servers import Kind, running


class Plan(msgspec.Struct, frozen=True):
    """The work of one comparison."""

    scenario: str
    kinds: tuple[Kind, ...]
    rounds_count: int
    concurrencies: tuple[int, ...]
    warm_up_seconds: float
    window_seconds: float
    idle_seconds: float


class Run(msgspec.Struct, frozen=True):
    """The figures of one server in one round."""

    kind: Kind
    round_number: int
    listening_seconds: float
    answering_seconds: float
    stopping_seconds: float
    #: After `idle_seconds` without a request, before any load.
    idle_resident_bytes: int
    #: CPU cores used meanwhile.
    idle_cores: float
    levels: tuple[Level, ...]


def compare(plan: Plan, lab: Lab) -> Iterator[Run]:
    """Measure each server once a round, and give each result as soon as it is there."""
    for round_number in range(1, plan.rounds_count + 1):
        for kind in plan.kinds:
            progress(f"round {round_number} of {plan.rounds_count}: {kind.value}")
            yield run_once(plan, kind, round_number, lab)


def run_once(plan: Plan, kind: Kind, round_number: int, lab: Lab) -> Run:
    """Start one server, let it idle, load it at every level, stop it."""
    launch = lab.launch(kind, f"{round_number}-{kind.value}")
    with running(launch) as server:
        began = usage.Clock.read(server.pid, None)
        time.sleep(plan.idle_seconds)
        idle = usage.Clock.read(server.pid, None).minus(began)
        idle_resident_bytes = usage.resident_bytes(server.pid)
        order = Order(
            target=server.target,
            scenario=plan.scenario,
            concurrencies=plan.concurrencies,
            warm_up_seconds=plan.warm_up_seconds,
            window_seconds=plan.window_seconds,
            server_pid=server.pid,
            database_pid=launch.database_pid,
        )
        levels = run_load(order, lab)
        stopping_seconds = server.stop()
    shutil.rmtree(launch.directory)
    return Run(
        kind=kind,
        round_number=round_number,
        listening_seconds=server.listening_seconds,
        answering_seconds=server.answering_seconds,
        stopping_seconds=stopping_seconds,
        idle_resident_bytes=idle_resident_bytes,
        idle_cores=idle.server / idle.at,
        levels=levels,
    )


def run_load(order: Order, lab: Lab) -> tuple[Level, ...]:
    """Have a client process carry out the order."""
    lines = client_lines("bench.load", order, lab.cores.client)
    return tuple(msgspec.json.decode(line, type=Level) for line in lines)
