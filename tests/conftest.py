"""For all tests; read before any of them is imported."""

import asyncio
import faulthandler
import os
import signal
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

# PostgreSQL's programs are started as another user, so by a true fork, beside threads that are in gRPC's hands. gRPC's own
# handlers for that crash one such child in a hundred; none of the children uses gRPC. It is looked at when gRPC is imported.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import pytest
from hypothesis import settings

# A machine that is busy with other tests is slow, and that is no fault of what is tested.
# Not Hypothesis's own profile for CI: that would play the same examples every time.
settings.register_profile("no deadline", settings.get_profile("default"), deadline=None)
settings.load_profile("no deadline")

#: Here no real clock runs and no socket is open: what fails once, fails.
_NO_TIME_PASSES = tuple(Path(__file__).parent / name for name in ("core", "house", "stories"))
#: Longer than setting up, running or tearing down any test takes on a busy machine. Tests that wait for a process, a server or
#: a database have a shorter patience of their own; this is for tests that hang all the same, and would block the others.
_PATIENCE_S = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A real process can lose a race to a busy machine: it gets one more try, and the summary names the test (`-rR`)."""
    for item in items:
        if not any(item.path.is_relative_to(place) for place in _NO_TIME_PASSES):
            item.add_marker(pytest.mark.flaky(reruns=1))


@contextmanager
def patience() -> Iterator[None]:
    """Let what hangs fail, and say what every thread and every task is waiting for."""

    def hangs(*_: object) -> None:
        faulthandler.dump_traceback(file=sys.__stderr__)
        for task in asyncio.all_tasks() if asyncio._get_running_loop() else ():
            task.print_stack(file=sys.stderr)
        pytest.fail(f"it hangs: not done after {_PATIENCE_S} s")

    before = signal.signal(signal.SIGALRM, hangs)
    # Again and again: whoever is interrupted may take the failure for their own.
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE_S, 10)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, None, None]:
    with patience():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    with patience():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, None, None]:
    with patience():
        return (yield)
