"""Tests lie where the code lies: a test's folder and name follow the module whose promise it tests."""

import ast
import re
from pathlib import Path

from tests.house.sources import ROOT, SRC, modules, name_of, tree_of

TESTS = ROOT / "tests"
#: The rooms of the code that have tests of their own.
ROOMS = ("core", "store", "runtime", "frontend", "metrics")

#: What no single module promises, and why. A path that ends in "/" stands for its whole folder.
CROSS_CUTTING = {
    "store/": "every store is asked the same: a file is named after what it asks",
    "runtime/test_durability.py": "updates, starts, queries and leases: nothing is answered before it is durable",
    "frontend/test_pages.py": "histories, lists, namespaces and tasks: no page is larger than gRPC's default limit",
    "frontend/test_request_ids.py": "a table of every call that has a request id, whichever handler answers it",
    "frontend/transport/test_abuse.py": "what hostile clients do to a whole port, and what it costs",
    "frontend/transport/test_clients.py": "real clients in four languages, over every way to the port",
    "frontend/transport/test_conformance.py": "the cases of h2spec, for the machine and the shell together",
    "frontend/transport/http/test_differential.py": "a table of calls that both servers answer",
    "frontend/transport/http/test_schemathesis.py": "generated requests for every path of the document",
}


def mirrored() -> list[Path]:
    """Return the test files that must follow the code."""
    return [
        path for room in ROOMS for path in modules(f"tests/{room}") if path.name.startswith("test_")
    ]


def module_names(folder: Path) -> set[str]:
    """Return the names of the modules and packages in a folder of the code."""
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    return files | {path.parent.name for path in folder.glob("*/__init__.py")}


def follows(path: Path) -> bool:
    """Say whether a test is called `test_MODULE.py` or `test_MODULE_ASPECT.py`, in the folder of that module."""
    name = path.stem.removeprefix("test_")
    names = module_names(SRC / "perdure" / path.relative_to(TESTS).parent)
    return any(name == module or name.startswith(f"{module}_") for module in names)


def reason(path: Path) -> str:
    name = path.relative_to(TESTS).as_posix()
    return next(
        (
            why
            for key, why in CROSS_CUTTING.items()
            if name == key or (key.endswith("/") and name.startswith(key))
        ),
        "",
    )


def test_a_test_lies_in_a_folder_of_the_code() -> None:
    gone = {
        name_of(path.parent)
        for path in mirrored()
        if not (SRC / "perdure" / path.relative_to(TESTS).parent / "__init__.py").exists()
    }
    assert gone == set()


def test_a_test_is_named_after_a_module_or_says_why_not() -> None:
    wrong = [name_of(path) for path in mirrored() if not follows(path) and not reason(path)]
    assert wrong == [], "rename them test_MODULE.py or test_MODULE_ASPECT.py, or say why not above"


def test_no_reason_is_left_over() -> None:
    """Where the code has the module by now, or the test has gone, the list is shorter."""
    needed = {reason(path) for path in mirrored() if not follows(path)}
    assert [key for key, why in CROSS_CUTTING.items() if why not in needed] == []


def test_names_are_compared_with_modules() -> None:
    """The test of the test: what it must notice, and what it must not."""
    folder = TESTS / "core" / "workflow"
    assert follows(folder / "test_timers.py")
    assert follows(folder / "test_history_step_buffering.py")
    assert not follows(folder / "test_stepping.py")
    assert not follows(folder / "test_task_queue.py")


def test_every_folder_says_which_question_it_answers() -> None:
    """And those at the top, how to run them."""
    silent = []
    for folder in sorted({path.parent for path in modules("tests") if path.parent != TESTS}):
        file = folder / "__init__.py"
        text = (ast.get_docstring(tree_of(file)) if file.exists() else None) or ""
        asks = re.match(r"[^\n]+\?(\n\n|$)", text)
        runs = folder.parent != TESTS or re.search(r"`(make|python -m) [^`]+`|nothing to run", text)
        holds_tests = any(folder.glob("test_*.py")) or folder.name == "build"
        if holds_tests and not (asks and runs):
            silent.append(name_of(folder))
    assert silent == []
