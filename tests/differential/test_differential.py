"""Every script answers the same on the real server and on perdure, in memory and with a file."""

from collections.abc import Iterator

import pytest

from tests.differential.compare import differences
from tests.differential.known import EVERYWHERE, PENDING
from tests.differential.registry import SCRIPTS
from tests.differential.servers import FILE, MEMORY, REAL
from tests.differential.session import Stage, stopped


def _cases() -> Iterator[object]:
    for kind in (FILE, MEMORY):
        for script in SCRIPTS.values():
            marks = []
            pending = script.pending or PENDING.get(script.name)
            if pending:
                marks.append(pytest.mark.xfail(reason=pending, strict=True))
            yield pytest.param(kind, script.name, id=f"{script.name}-{kind}", marks=marks)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), list(_cases()))
def test_same(stage: Stage, kind: str, name: str) -> None:
    script = SCRIPTS[name]
    theirs = stage.transcript(REAL, script)
    assert stopped(theirs) is None, "the script does not even run against the real server"
    ours = stage.transcript(kind, script)
    found, stale = differences(theirs, ours, (*script.intended, *EVERYWHERE))
    stale = [known for known in stale if known not in EVERYWHERE]
    assert not found, f"{len(found)} differences\n  " + "\n  ".join(found)
    assert not stale, f"no longer different: {[known.where for known in stale]}"
