"""Measures the CPU time and memory of a process and its children, from `/proc` through psutil.

Why it exists: a server may be one process or several (PostgreSQL is many), and both servers must be measured alike.
It only observes: no process is started, stopped or moved here.
"""

import time
from collections.abc import Iterator
from typing import NamedTuple, Self

import psutil


class Clock(NamedTuple):
    """A moment, and the CPU time that everybody had used by then."""

    at: float
    server: float
    database: float
    client: float
    machine: float

    @classmethod
    def read(cls, server_pid: int, database_pid: int | None) -> Self:
        """Read all clocks at once; `client` is the calling process."""
        return cls(
            at=time.perf_counter(),
            server=cpu_seconds(server_pid),
            database=0.0 if database_pid is None else cpu_seconds(database_pid),
            client=time.process_time(),
            machine=machine_busy_seconds(),
        )

    def minus(self, earlier: Self) -> Self:
        """Return how much was used between `earlier` and this moment."""
        return type(self)(*(now - then for now, then in zip(self, earlier, strict=True)))

    @property
    def others(self) -> float:
        """CPU time of whatever else ran on the machine: the noise in this measurement."""
        return max(0.0, self.machine - self.server - self.database - self.client)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process tree, including children that have ended and were waited for."""
    total = 0.0
    for process in tree(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            # Its time is now in its parent's `children_…`, or will be when it is waited for.
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def resident_bytes(pid: int) -> int:
    """Resident memory of a process tree."""
    total = 0
    for process in tree(pid):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            # A child that ended between the listing and the reading has no memory.
            continue
    return total


def proportional_bytes(pid: int) -> int:
    """Memory of a process tree with shared pages counted once: PostgreSQL's buffers are in every backend's RSS."""
    total = 0
    for process in tree(pid):
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue  # It ended meanwhile, and its memory is free.
    return total


def machine_busy_seconds() -> float:
    """CPU time that the whole machine has spent on anything."""
    times = psutil.cpu_times()
    # guest time is contained in user time.
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def tree(pid: int) -> Iterator[psutil.Process]:
    """The process and all its living descendants."""
    root = psutil.Process(pid)
    yield root
    yield from root.children(recursive=True)
