"""One language: the glossary's words in code, docs, docstrings and log lines, and sentences that begin with who acts.

`python -m tests.house.test_language [FOLDER]` prints every place that is wrong, also where a room may still have some.
"""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.house.prose import names, passages, sentences, words_of
from tests.house.sources import ROOT, SRC, modules, name_of, text_of, tree_of

GLOSSARY = ROOT / "docs" / "glossary.md"
PAGES = [
    page
    for page in sorted(
        [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("*.md")]
    )
    # The code map has the words of docstrings, and the glossary those that it gives up.
    if page not in (GLOSSARY, ROOT / "docs" / "code-map.md")
]
OURS = [*PAGES, *modules("src", "bench", "tools")]
TESTS = [path for path in modules("tests") if "house" not in path.parts]

#: How many places a room may still have, until it is cleaned: a number goes down, and its line goes with the last place.
#: A room is the longest of these paths that a file's begins with.
OLD_WORDS_MAX: dict[str, int] = {}
OLD_OPENERS_MAX: dict[str, int] = {}
#: Names that more than one class has. None may be added.
SHARED_CLASS_NAMES = {"Page", "Server", "Verdict"}

OPENERS = re.compile(r"(Of|What|Who|Whoever|Else)\b")
#: Headings of a concept's sections, which are no sentences.
HEADINGS = re.compile(
    r"What (can be asked|a worker can command|other concepts use|is recorded on the way|must hold)"
)


class Unused(NamedTuple):
    """A word of the glossary's last column: it is said otherwise."""

    words: tuple[str, ...]
    #: A name in backticks is looked for among names only, as it is written.
    name: str
    is_fine_in_the_simulator: bool


class Wrong(NamedTuple):
    path: Path
    line: int
    what: str

    def __str__(self) -> str:
        return f"{name_of(self.path)}:{self.line}: {self.what}"


def rows() -> list[list[str]]:
    """Return the glossary's rows: term, meaning, names in the code, words that are not used."""
    table = re.findall(r"^\|(.+)\|$", text_of(GLOSSARY), re.M)
    cells = [[cell.strip() for cell in row.split("|")] for row in table]
    return [row for row in cells if row[0] != "term" and not row[0].startswith("---")]


@cache
def unused() -> list[Unused]:
    found = []
    for row in rows():
        for word in filter(None, (word.strip() for word in row[3].split(","))):
            bare = word.replace("(but in the simulator)", "").strip()
            name = bare.strip("`") if bare.startswith("`") else ""
            found.append(Unused(tuple(words_of(bare)), name, bare != word))
    return found


def phrase_in(text: str, phrases: re.Pattern[str]) -> str:
    """Return the first of the phrases that the words of a text have; "" if they have none."""
    found = phrases.search(f" {' '.join(words_of(text))} ")
    return found[0].strip() if found else ""


@cache
def given_up(is_simulator: bool) -> tuple[re.Pattern[str], set[str]]:
    """Return the phrases that nobody uses, and the names."""
    found = [u for u in unused() if not (u.is_fine_in_the_simulator and is_simulator)]
    phrases = "|".join(" ".join(u.words) for u in found if not u.name)
    return re.compile(f" ({phrases}) "), {u.name for u in found if u.name}


def old_words(path: Path) -> Iterator[Wrong]:
    """Yield the places where a file says something in a word that the glossary gives up."""
    phrases, gone = given_up("testing" in path.parts or path.name == "simulation.md")
    for passage in passages(path):
        if phrase := phrase_in(passage.text, phrases):
            yield Wrong(path, passage.line, f"“{phrase}” in: {passage.text}")
    if path.suffix == ".py":
        for line, name in names(path):
            if name in gone or phrase_in(name, phrases):
                yield Wrong(path, line, f"the name {name}")


def old_openers(path: Path) -> Iterator[Wrong]:
    """Yield the sentences that begin with an object, or with somebody who has no name."""
    for passage in passages(path):
        for sentence in sentences(passage.text):
            is_fine = sentence.endswith("?") or HEADINGS.fullmatch(sentence)
            if OPENERS.match(sentence) and not is_fine:
                yield Wrong(path, passage.line, sentence)


def too_many(wrong: Iterable[Wrong], rooms: dict[str, int]) -> list[str]:
    """Return what is wrong in the rooms that have more of it than they may."""
    by_room: dict[str, list[Wrong]] = {}
    for each in wrong:
        name = name_of(each.path)
        room = max((room for room in rooms if name.startswith(room)), key=len, default="")
        by_room.setdefault(room, []).append(each)
    return [
        str(each)
        for room, found in by_room.items()
        if len(found) > rooms.get(room, 0)
        for each in found
    ]


@cache
def class_names() -> Counter[str]:
    return Counter(
        node.name
        for path in modules("src")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef)
    )


def defined(path: Path) -> Iterator[str]:
    """Yield the names of a module's classes, functions and assignments."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def test_words_that_the_glossary_gives_up_are_gone() -> None:
    assert too_many((w for path in OURS for w in old_words(path)), OLD_WORDS_MAX) == []


def test_sentences_begin_with_who_acts() -> None:
    assert (
        too_many((w for path in [*OURS, *TESTS] for w in old_openers(path)), OLD_OPENERS_MAX) == []
    )


def test_names_in_the_glossary_are_in_the_code() -> None:
    known = {name for path in modules("src") for name in defined(path)}
    gone = []
    for row in rows():
        for name in re.findall(r"`([^`]+)`", row[2]):
            is_there = (SRC / "perdure" / name).exists() if "/" in name else name in known
            if not is_there:
                gone.append(f"{row[0]}: {name}")
    assert gone == []


def test_the_glossary_says_each_word_once() -> None:
    terms = Counter(row[0].lower() for row in rows())
    assert [term for term, count in terms.items() if count > 1] == []
    assert {len(row) for row in rows()} == {4}
    # A word that is given up is neither a term nor in a meaning.
    phrases, _ = given_up(is_simulator=False)
    assert [row[0] for row in rows() if phrase_in(f"{row[0]} {row[1]}", phrases)] == []


def test_a_class_name_means_one_class() -> None:
    assert {name for name, count in class_names().items() if count > 1} <= SHARED_CLASS_NAMES


@pytest.mark.parametrize(
    ("text", "is_wrong"),
    [
        ("Who asks waits.", True),
        ("It waits. Whoever asks is refused.", True),
        ("Is it there? What waits.", True),
        ("What is it?", False),
        ("Office hours. Elsewhere it differs.", False),
        ("It says what it does: what it has.", False),
    ],
)
def test_openers_are_seen(tmp_path: Path, text: str, is_wrong: bool) -> None:
    for name, content in [
        ("page.md", f"# Page\n\n- {text}\n"),
        ("table.md", f"| a | {text} |\n"),
        ("module.py", f'"""{text}"""\n'),
        ("comment.py", f"x = 1\n# {text}\n"),
        ("field.py", f"#: Something else.\n#: {text}\n"),
    ]:
        path = tmp_path / name
        path.write_text(content)
        assert bool(list(old_openers(path))) is is_wrong, name


def test_old_words_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        '"""A run is handed\nout."""\n'
        "def let_go(live: LiveRun, handed: int) -> None:  # It owes nothing.\n"
        '    """Go, and let it go out; a hand is held out."""\n'
    )
    assert [wrong.line for wrong in old_words(path)] == [1, 3, 3, 3]


if __name__ == "__main__":
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    for path in [*OURS, *TESTS]:
        if name_of(path).startswith(wanted):
            for each in [*(old_words(path) if path in OURS else []), *old_openers(path)]:
                print(each)
