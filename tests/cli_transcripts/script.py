"""Reads a file of `scripts/`: each line is a command.

    # comment
    text COMMAND            run it, output as text
    json COMMAND            … as JSON; `jsonl` likewise
    each COMMAND            run it three times, once in each form
    until REGEX FORM COMMAND    run it until its output matches, and write down only that
    keep NAME KEY json COMMAND  run it, and remember what its output has under KEY as {NAME}
    differs REGEX :: WHY    lines of output that match may be on one side only

`{name}` in a command is an id of this run's own; `{queue}` is the task queue that the worker polls.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

FORMS = ("text", "json", "jsonl")
PLACE = Path(__file__).parent / "scripts"


@dataclass(frozen=True, slots=True)
class Command:
    form: str
    words: tuple[str, ...]
    #: Run it until its output matches.
    until: re.Pattern[str] | None = None
    #: Name and key of what is to be remembered of its output.
    keep: tuple[str, str] | None = None

    def shown(self) -> str:
        return f"{self.form} {shlex.join(self.words)}"


@dataclass(frozen=True, slots=True)
class Difference:
    line: re.Pattern[str]
    reason: str


@dataclass(frozen=True, slots=True)
class Script:
    name: str
    commands: tuple[Command, ...]
    differences: tuple[Difference, ...]


def read(path: Path) -> Script:
    commands: list[Command] = []
    differences: list[Difference] = []
    for line in path.read_text().splitlines():
        first, _, rest = line.strip().partition(" ")
        if first == "differs":
            pattern, _, reason = rest.partition(" :: ")
            assert reason.strip(), f"{path.name}: a difference without a reason: {line}"
            differences.append(Difference(re.compile(pattern.strip()), reason.strip()))
        elif first and not first.startswith("#"):
            commands += _commands(shlex.split(line))
    return Script(path.stem, tuple(commands), tuple(differences))


def _commands(words: list[str]) -> list[Command]:
    first, *rest = words
    if first == "until":
        return [Command(rest[1], tuple(rest[2:]), until=re.compile(rest[0]))]
    if first == "keep":
        return [Command(rest[2], tuple(rest[3:]), keep=(rest[0], rest[1]))]
    assert first in (*FORMS, "each"), f"no command begins with {first!r}"
    return [Command(form, tuple(rest)) for form in (FORMS if first == "each" else (first,))]


def all_scripts() -> dict[str, Script]:
    return {path.stem: read(path) for path in sorted(PLACE.glob("*.txt"))}
