"""Where the transcripts of two servers part, and which of the listed differences did not occur."""

import difflib

from tests.cli_transcripts.player import NEVER, Entry
from tests.cli_transcripts.script import Difference, Script


def faults(script: Script, theirs: list[Entry], ours: list[Entry]) -> list[str]:
    found: list[str] = []
    stale = list(script.differences)
    assert len(theirs) == len(ours) == len(script.commands)
    for their, our in zip(theirs, ours, strict=True):
        lines = []
        for line in difflib.ndiff(their.lines, our.lines):
            if line[:2] not in ("- ", "+ "):
                continue
            known = _known(line[2:], script.differences)
            if known:
                stale = [each for each in stale if each not in known]
            else:
                lines.append(f"  {'real   ' if line[0] == '-' else 'perdure'} {line[2:]}")
        if NEVER in (their.code, our.code):
            lines.append("  did not come to its end")
        if their.code != our.code:
            exits = f"exits with {their.code} (real), {our.code} (perdure)"
            known = _known(exits, script.differences)
            if known:
                stale = [each for each in stale if each not in known]
            else:
                lines.append(f"  {exits}")
        if lines:
            found.append("\n".join([their.command, *lines]))
    return found + [f"no longer different: {each.line.pattern}" for each in stale]


def _known(line: str, differences: tuple[Difference, ...]) -> list[Difference]:
    return [each for each in differences if each.line.search(line)]
