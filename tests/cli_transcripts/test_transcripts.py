"""Every command prints the same, and exits with the same code, whichever server it talks to."""

import pytest

from tests.cli_transcripts.compare import faults
from tests.cli_transcripts.conftest import Transcripts
from tests.cli_transcripts.player import Entry
from tests.cli_transcripts.script import Command, Difference, Script, all_scripts
from tests.differential.servers import MEMORY, REAL


@pytest.mark.slow
@pytest.mark.parametrize("name", list(all_scripts()))
def test_same(transcripts: Transcripts, name: str) -> None:
    script = all_scripts()[name]
    found = faults(script, transcripts[REAL, name], transcripts[MEMORY, name])
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
