"""Only records change the state of an execution: what a rule writes by itself is lost when it is rebuilt.

Checked over the text of the rules, with names followed as far as one function goes.
"""

import ast
from pathlib import Path

from tests.house.sources import ARCHETYPES, name_of, text_of, tree_of

RULES = sorted(
    path for folder in ARCHETYPES for path in folder.rglob("*.py") if path.name != "__init__.py"
)
#: The engine itself: applying is its work (`apply`, `fold`), and so is taking a step back (`roll_back`).
ENGINE = {"machine.py", "history_step.py", "state.py", "records.py"}
SECTIONS = [
    "# What can be asked",
    "# What a worker can command",
    "# What other concepts use",
    "# What is recorded on the way",
    "# How records change the state",
    "# What must hold",
]
CHANGES = "# How records change the state"
STATE = ("state.", "step.state.", "run.state.", "self.state.")
MUTATORS = {
    "add",
    "append",
    "clear",
    "discard",
    "extend",
    "insert",
    "pop",
    "popitem",
    "remove",
    "setdefault",
    "update",
}


#: Bytes that no state keeps: the journal itself.
WRITES_THE_JOURNAL = {"records.py"}


def test_bytes_in_the_state_have_one_order():
    """A map's entries come in any order otherwise: memory, and the state that the journal gives, would differ."""
    unordered = [
        f"{name_of(path)}:{node.lineno}"
        for path in RULES
        if path.name not in WRITES_THE_JOURNAL
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith(".SerializeToString")
        and not node.keywords
    ]
    assert unordered == []


def aliases(function: ast.AST) -> set[str]:
    """Return the names that are bound to a part of the state."""
    found: set[str] = set()
    for node in ast.walk(function):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.NamedExpr(target=ast.Name(id=name), value=value)
            ):
                pass
            case ast.For(target=target, iter=value):
                name = ast.unparse(target).split(", ")[-1].strip("()")
            case _:
                continue
        if ast.unparse(value).startswith(STATE):
            found.add(name)
    return found


def written_places(function: ast.AST):
    """Yield the source of everything that `function` assigns, deletes or mutates, but for plain names."""
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=targets) | ast.Delete(targets=targets):
                yield from (ast.unparse(t) for t in targets if not isinstance(t, ast.Name))
            case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
                if not isinstance(target, ast.Name):
                    yield ast.unparse(target)
            case ast.Call(func=ast.Attribute(value=value, attr=attr)) if attr in MUTATORS:
                yield ast.unparse(value)


def writes_state(function: ast.AST) -> list[str]:
    of_state = STATE + tuple(f"{alias}{mark}" for alias in aliases(function) for mark in ".[")
    return [
        place
        for place in written_places(function)
        if place.startswith(of_state) or place in aliases(function)
    ]


def sections(path: Path) -> list[tuple[int, str]]:
    """Return the section headings of a module, each with its line."""
    lines = text_of(path).splitlines()
    return [(number, line) for number, line in enumerate(lines, 1) if line in SECTIONS]


def section_of(path: Path, line: int) -> str:
    return next((name for start, name in reversed(sections(path)) if start < line), "")


def top_functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in tree_of(path).body if isinstance(node, ast.FunctionDef)]


def test_only_records_change_the_state():
    wrong = [
        f"{name_of(path)}:{function.name} writes {place}"
        for path in RULES
        if path.name not in ENGINE
        for function in top_functions(path)
        if section_of(path, function.lineno) != CHANGES
        for place in writes_state(function)
    ]
    assert wrong == []


def test_what_changes_the_state_is_called_by_the_engine_alone():
    appliers = {
        (path.stem, function.name)
        for path in RULES
        for function in top_functions(path)
        if section_of(path, function.lineno) == CHANGES and writes_state(function)
    }
    assert appliers, "the sections have other names than this test knows"
    wrong = []
    for path in RULES:
        if path.name in ENGINE:
            continue
        imported = {
            alias.asname or alias.name: (node.module.rsplit(".")[-1], alias.name)
            for node in tree_of(path).body
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }
        for function in top_functions(path):
            if section_of(path, function.lineno) == CHANGES:
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    called = imported.get(node.func.id, (path.stem, node.func.id))
                    if called in appliers:
                        wrong.append(f"{name_of(path)}:{function.name} calls {node.func.id}")
    assert wrong == []


def test_every_concept_has_its_sections_in_order():
    for path in RULES:
        found = [name for _, name in sections(path)]
        assert found == sorted(found, key=SECTIONS.index), name_of(path)
        assert len(found) == len(set(found)), name_of(path)


def test_a_concept_has_sections():
    for path in RULES:
        names = {
            node.target.id
            for node in tree_of(path).body
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        }
        if "CONCEPT" in names:
            assert sections(path), name_of(path)


def test_writes_are_seen():
    """The test of the test: what it must notice, and what it must not."""
    wrong = ast.parse(
        "def f(step):\n"
        "    state.a = 1\n"
        "    step.state.b.append(1)\n"
        "    del state.c[1]\n"
        "    activity = state.activities[1]\n"
        "    activity.attempt += 1\n"
        "    for timer in state.timers.values():\n"
        "        timer.x = 1\n"
    )
    assert len(writes_state(wrong)) == 5
    right = ast.parse(
        "def f(step):\n"
        "    count = state.count\n"
        "    count += 1\n"
        "    attributes.x = state.x\n"
        "    names = list(state.names)\n"
        "    names.append(1)\n"
        "    step.in_flight.started = None\n"
    )
    assert writes_state(right) == []
