"""What the pages name is there, and what is there is on the map."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.house.sources import ROOT, SRC, modules, name_of, text_of, tree_of

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], key=str)
MAP = ROOT / "docs" / "architecture.md"
SOURCES = modules("src", "bench", "tools", "tests")


def quoted(page: Path) -> list[str]:
    """Return what stands in single backticks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))


@cache
def members() -> dict[str, set[str]]:
    """Return what each class of perdure has: class → names of methods, fields and attributes."""
    found: dict[str, set[str]] = {}
    for path in modules("src"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, set()).update(re.findall(r"\w+", ast.unparse(node)))
    return found


@cache
def words() -> set[str]:
    sql = [path.read_text() for path in SRC.rglob("*.sql")]
    return {word for text in [*map(text_of, SOURCES), *sql] for word in re.findall(r"\w+", text)}


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_somewhere(page):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        file, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        there = page.parent / file if file else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_a_page_names_are_there(page):
    """A code map that names files which are gone is worse than none. A path may begin at any folder."""
    named = [
        name for name in quoted(page) if re.fullmatch(r"(src|tests|tools|bench|docs)/.+", name)
    ]
    assert [name for name in named if not any(ROOT.glob(name))] == []
    if page.parent != ROOT:
        known = [f"/{name_of(path)}" for path in SOURCES]
        files = [name for name in quoted(page) if re.fullmatch(r"[\w/-]+\.py", name)]
        assert [name for name in files if not any(k.endswith(f"/{name}") for k in known)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_classes_that_a_page_names_have_what_it_says(page):
    gone = []
    for name in quoted(page):
        match = re.fullmatch(r"(\w+)\.(\w+)(\(.*\))?", name)
        if match and match[1] in members() and match[2] not in members()[match[1]]:
            gone.append(name)
    assert gone == []


def test_the_map_stays_a_map():
    """Long tables go to pages of their own: a newcomer reads the map whole."""
    assert len(MAP.read_text().splitlines()) <= 250


def test_names_on_the_map_are_in_the_code():
    named = [re.match(r"\w+", name)[0] for name in quoted(MAP) if re.match(r"\w+(\(|$)", name)]
    assert named
    assert [name for name in named if name not in words()] == []


def test_a_package_that_lists_its_modules_lists_them_all():
    left_out = []
    for path in modules("src"):
        listing = ast.get_docstring(tree_of(path)) or ""
        if path.name == "__init__.py" and listing.count(".py") > 2:
            names = {other.name for other in path.parent.glob("*.py")} - {"__init__.py"}
            left_out += [
                f"{name_of(path)}: {name}" for name in sorted(names) if name not in listing
            ]
    assert left_out == []
