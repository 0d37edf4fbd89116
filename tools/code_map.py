"""Writes docs/code-map.md: every module with the first sentence of its docstring, room by room.

A test fails while the page in the repository is not this text.
"""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "code-map.md"
SRC = ROOT / "src" / "perdure"
HEAD = """# Code map

Every module, in the words of its own docstring. `make docs` writes this page. [Architecture](architecture.md) tells how
they work together; the simulator has [a page of its own](simulation.md).
"""


def page() -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *(_room(folder) for folder in _rooms())])


def _rooms() -> list[Path]:
    folders = {path.parent for path in SRC.rglob("*.py")}
    return sorted(folder for folder in folders if "testing" not in folder.parts)


def _room(folder: Path) -> str:
    name = folder.relative_to(SRC.parent).as_posix()
    rows = [
        f"| [{path.name}](../{path.relative_to(ROOT).as_posix()}) | {_summary(path)} |"
        for path in sorted(folder.glob("*.py"))
        if not path.name.startswith("__")
    ]
    table = ["", "| file | summary |", "| --- | --- |", *rows] if rows else []
    return "\n".join([f"## {name}", "", _summary(folder / "__init__.py"), *table, ""])


def _summary(path: Path) -> str:
    """Return the first paragraph of a module's docstring on one line."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(text.split("\n\n")[0].split()).replace("|", "\\|")


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page())
    else:
        print(page())
