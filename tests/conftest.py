"""For all tests; read before any of them is imported."""

import os
from pathlib import Path

# PostgreSQL's programs are started as another user, so by a true fork, beside threads that are in gRPC's hands. gRPC's own
# handlers for that crash one such child in a hundred; none of the children uses gRPC. It is looked at when gRPC is imported.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import pytest
from hypothesis import settings

# A machine that is busy with other tests is slow, and that is no fault of what is tested.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

#: Here no clock runs and no socket is open: what fails once, fails.
_NO_TIME_PASSES = tuple(Path(__file__).parent / name for name in ("core", "house"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A real process can lose a race to a busy machine: it gets one more try, and the summary names the test (`-rR`)."""
    for item in items:
        if not any(item.path.is_relative_to(place) for place in _NO_TIME_PASSES):
            item.add_marker(pytest.mark.flaky(reruns=1))
