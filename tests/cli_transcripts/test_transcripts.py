"""Every command prints the same, and exits with the same code, whichever server it talks to."""

import asyncio

import pytest

from tests.cli_transcripts.compare import faults
from tests.cli_transcripts.conftest import Transcripts
from tests.cli_transcripts.normalise import Normaliser
from tests.cli_transcripts.player import Entry, record
from tests.cli_transcripts.script import Command, Difference, Script, all_scripts
from tests.differential.servers import MEMORY, REAL

#: Commands race with workers and timers on both servers: what is really different is so each time.
TRIES = 3


@pytest.mark.slow
@pytest.mark.parametrize("name", list(all_scripts()))
def test_same(transcripts: Transcripts, name: str) -> None:
    script = all_scripts()[name]
    for tries in range(TRIES):
        played = asyncio.run(record([script])) if tries else transcripts
        found = faults(script, played[REAL, name], played[MEMORY, name])
        if not found:
            return
    assert not found, "\n".join(["", *found])


def test_differences_are_seen() -> None:
    import re

    command = Command("text", ("workflow", "list"))
    script = Script("s", (command,), (Difference(re.compile("^odd"), "why"),))
    same = Entry("text workflow list", 0, ["a", "b"])
    assert faults(script, [same], [same]) == ["no longer different: ^odd"]
    known = Entry("text workflow list", 0, ["a", "odd 1", "b"])
    assert faults(script, [same], [known]) == []
    other = Entry("text workflow list", 1, ["a", "odd 1", "c"])
    (fault,) = faults(script, [same], [other])
    assert fault.splitlines() == [
        "text workflow list",
        "  real    b",
        "  perdure c",
        "  exits with 0 (real), 1 (perdure)",
    ]


@pytest.mark.parametrize("span", ["1s", "1.02s", "912ms", "1m0.3s", "0s"])
def test_how_long_it_took_is_never_compared(span: str) -> None:
    """One run in a hundred takes a round number of seconds."""
    shown = Normaliser("nonce").lines(
        "text", f"  RunTime   {span}\n  ✓ Parent ({span})\n  Timeout  1s\n"
    )
    assert shown == ["RunTime <duration>", "✓ Parent (<duration>)", "Timeout 1s"]
