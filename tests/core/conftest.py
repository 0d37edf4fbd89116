"""Every script of the core holds the concepts to their promises."""

from collections.abc import Iterator

import pytest

from perdure.testing.promises import held_to


def fail(fault: str) -> None:
    raise AssertionError(fault)


@pytest.fixture(autouse=True, scope="module")
def _promises_are_kept() -> Iterator[None]:
    with held_to(fail):
        yield
