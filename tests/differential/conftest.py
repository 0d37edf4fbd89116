"""One real server and one perdure of each kind for the whole run."""

from collections.abc import Iterator

import pytest

from tests.differential import scripts
from tests.differential.registry import SCRIPTS
from tests.differential.servers import REAL
from tests.differential.session import Stage

assert scripts  # Importing it registers them.


@pytest.fixture(scope="session")
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """All the scripts that this run asks for, already under way."""
    wanted = [
        item.callspec.params
        for item in request.session.items
        if isinstance(item, pytest.Function) and {"name", "kind", "stage"} <= set(item.fixturenames)
    ]
    names = dict.fromkeys(str(params["name"]) for params in wanted)
    kinds = dict.fromkeys([REAL, *(str(params["kind"]) for params in wanted)])
    with Stage([SCRIPTS[name] for name in names], kinds) as stage:
        yield stage
