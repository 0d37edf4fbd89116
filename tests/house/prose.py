"""The project's words: sentences of its docstrings, comments, log lines and pages, and the words of its names."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.house.sources import name_of, text_of, tree_of


class Passage(NamedTuple):
    """A paragraph, list item, table cell, comment, docstring or log line, without its line breaks."""

    path: Path
    line: int
    text: str

    @property
    def place(self) -> str:
        return f"{name_of(self.path)}:{self.line}"


@cache
def passages(path: Path) -> list[Passage]:
    """Return everything in a file that people read as prose. Code and diagrams on pages are left out."""
    if path.suffix == ".md":
        return list(_blocks(path, 1, _without_code_blocks(text_of(path))))
    return [*_docstrings(path), *_comments(path), *_log_lines(path)]


def _without_code_blocks(text: str) -> str:
    """Empty the lines of code blocks, so that the other lines keep their numbers."""
    return re.sub(
        r"^( *```).*?^ *```$", lambda block: "\n" * block[0].count("\n"), text, flags=re.M | re.S
    )


def _blocks(path: Path, first_line: int, text: str) -> Iterator[Passage]:
    """Split a text at empty lines, list items, table cells and headings."""
    start, words = first_line, ""
    for line, raw in enumerate([*text.splitlines(), ""], first_line):
        stripped = raw.strip()
        begins_anew = re.match(r"([-*|#>]|\d+\.) ?", stripped)
        if words and (not stripped or begins_anew):
            yield Passage(path, start, words)
            words = ""
        if stripped.startswith("|"):
            cells = re.split(r"(?<!\\)\|", stripped.strip("|"))
            yield from (Passage(path, line, cell.strip()) for cell in cells if cell.strip())
        elif stripped:
            if not words:
                start = line
            words = f"{words} {re.sub(r'^([-*#>]+|[0-9]+[.]) +', '', stripped)}".strip()


@cache
def _tokens(path: Path) -> list[tokenize.TokenInfo]:
    """Return the comments and names of a module."""
    wanted = (tokenize.COMMENT, tokenize.NAME)
    every = tokenize.generate_tokens(io.StringIO(text_of(path)).readline)
    return [token for token in every if token.type in wanted]


def _docstrings(path: Path) -> Iterator[Passage]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield from _blocks(path, node.body[0].lineno, text)


def _comments(path: Path) -> Iterator[Passage]:
    """Yield comments; those of lines that follow one another are one."""
    start, last, column, words = 0, 0, -1, ""
    for token in _tokens(path):
        if token.type != tokenize.COMMENT:
            continue
        (line, at), text = token.start, token.string
        if words and line == last + 1 and at == column and not text.startswith("#:"):
            words += " " + text.lstrip("# ")
        else:
            if words:
                yield Passage(path, start, words)
            start, column, words = line, at, text.lstrip("#: ")
        last = line
    if words:
        yield Passage(path, start, words)


def _log_lines(path: Path) -> Iterator[Passage]:
    for node in ast.walk(tree_of(path)):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="log")),
                args=[ast.Constant(value=str(text)), *_],
            ):
                yield Passage(path, node.lineno, text)


def sentences(text: str) -> list[str]:
    """Split a passage after full stops, question and exclamation marks; marks of emphasis are dropped."""
    return [
        each for each in re.split(r"(?<=[.?!])\s+", re.sub(r"[*_]{1,2}(?=\w)", "", text)) if each
    ]


def names(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every name that a module defines or uses, and its own, with the line."""
    yield 1, path.stem
    for token in _tokens(path):
        if token.type == tokenize.NAME:
            yield token.start[0], token.string


def words_of(text: str) -> list[str]:
    """Split prose or a name into small words: `_some_HTTPName` → some, http, name."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", text)]
