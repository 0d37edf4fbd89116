"""Every script answers the same on the real server and on perdure, in memory and with a file."""

from collections.abc import Iterator

import pytest

from tests.differential.compare import differences
from tests.differential.known import EVERYWHERE, PENDING
from tests.differential.registry import SCRIPTS, Script
from tests.differential.servers import FILE, MEMORY, REAL
from tests.differential.session import Stage, stopped
from tests.differential.transcript import Step

Steps = list[Step]

#: Timers race with whatever else the machine does, on both servers: what is really different is so each time.
TRIES = 4


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
    theirs, ours = [stage.transcript(REAL, script)], [stage.transcript(kind, script)]
    faults = first = _faults(script, theirs[0], ours[0])
    while faults and name not in PENDING and len(theirs) < TRIES:
        theirs.append(stage.again(REAL, script))
        ours.append(stage.again(kind, script))
        # A race may go either way on either server: it is enough that both once went the same way.
        faults = next((found for found in _pairs(script, theirs, ours) if not found), first)
    assert not faults, f"{len(faults)} differences\n  " + "\n  ".join(faults)


def _pairs(script: Script, theirs: list[Steps], ours: list[Steps]) -> Iterator[list[str]]:
    return (_faults(script, real, other) for real in theirs for other in ours)


def _faults(script: Script, theirs: Steps, ours: Steps) -> list[str]:
    why = stopped(theirs)
    if why is not None:
        return [f"the script does not even run against the real server: {why}"]
    found, stale = differences(theirs, ours, (*script.intended, *EVERYWHERE))
    stale = [known for known in stale if known not in EVERYWHERE]
    return [*found, *(f"no longer different: {known.where}" for known in stale)]
