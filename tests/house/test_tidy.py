"""House rules about form that no off-the-shelf linter knows."""

import ast
import re
import tokenize

from tests.house.sources import functions, modules, name_of, text_of, tree_of

EVERYTHING = modules("src", "bench", "tools", "tests")
OURS = modules("src", "bench", "tools")

FILE_LINES_MAX = 400
#: Outside src: tests of one thing, a script of the differential suite, and a benchmark are each one long list.
OTHER_LINES_MAX = 510
FUNCTION_LINES_MAX = 70


def test_every_module_says_what_it_is():
    silent = [
        name_of(path)
        for path in EVERYTHING
        if path.stat().st_size and not ast.get_docstring(tree_of(path))
    ]
    assert silent == []


def test_no_file_is_too_long():
    lengths = {name_of(path): text_of(path).count("\n") for path in EVERYTHING}
    assert {
        name: n
        for name, n in lengths.items()
        if n > (FILE_LINES_MAX if name.startswith("src/") else OTHER_LINES_MAX)
    } == {}


def test_no_function_is_too_long_to_see():
    long = {
        f"{name_of(path)}:{function.name}": function.end_lineno - function.lineno + 1
        for path in EVERYTHING
        for function in functions(tree_of(path))
        if function.end_lineno - function.lineno >= FUNCTION_LINES_MAX
    }
    assert long == {}


VAGUE = {"manager", "helper", "helpers", "util", "utils", "common", "impl", "base"}


def words(name: str) -> set[str]:
    """Split an identifier: `_some_HTTPName` → some, http, name."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def test_words_are_split_as_one_reads_them():
    assert words("_some_HTTPNames2") == {"some", "http", "names"}


def test_no_name_is_vague():
    vague = []
    for path in OURS:
        names = [path.stem]
        names += [
            node.name
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        vague += [f"{name_of(path)}:{name}" for name in names if words(name) & VAGUE]
    assert vague == []


UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK|not implemented yet|for now)\b", re.IGNORECASE)


def test_nothing_is_called_done_that_is_not():
    left = []
    for path in OURS:
        with path.open("rb") as file:
            for token in tokenize.tokenize(file.readline):
                if token.type == tokenize.COMMENT and UNFINISHED.search(token.string):
                    left.append(f"{name_of(path)}:{token.start[0]}: {token.string}")
    assert left == []


def test_no_exception_is_swallowed():
    """Catching everything means to say so, or to pass it on; passing over one kind of error takes a word why."""
    swallowed = []
    for path in OURS:
        lines = text_of(path).splitlines()
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = ast.unparse(node.type) if node.type else "BaseException"
            body = "\n".join(map(ast.unparse, node.body))
            if caught in ("Exception", "BaseException"):
                is_passed_on = "raise" in body or re.search(r"\blog\.|handleError", body)
                is_used = node.name and re.search(rf"\b{node.name}\b", body)
                fine = is_passed_on or is_used
            elif body in ("pass", "continue"):
                fine = any("#" in line for line in lines[node.lineno - 1 : node.end_lineno])
            else:
                fine = True
            if not fine:
                swallowed.append(f"{name_of(path)}:{node.lineno}: except {caught}")
    assert swallowed == []


def test_no_thread_is_put_to_sleep():
    sleeping = [
        name_of(path)
        for path in modules("src")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "time.sleep"
    ]
    assert sleeping == []
