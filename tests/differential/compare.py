"""Tell where two transcripts part, in a form that a person can act on."""

import difflib
import fnmatch
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.differential.transcript import Step

_MISSING = "(nothing)"


@dataclass(frozen=True, slots=True)
class Intended:
    """Where perdure answers otherwise on purpose.

    `where` is a pattern (`*` matches anything) over "label.path.of.field"; the rest of the step is still compared.
    """

    where: str
    reason: str
    #: The real server itself does not always answer the same here.
    sometimes: bool = False


def differences(
    theirs: list[Step], ours: list[Step], intended: Iterable[Intended] = ()
) -> tuple[list[str], list[Intended]]:
    """Return the places that differ, and the intended differences that did not occur."""
    stale = [known for known in intended if not known.sometimes]
    found: list[str] = []
    for label, their, our in _paired(theirs, ours):
        for path, left, right in _leaves(their, our, label):
            by_design = [known for known in intended if fnmatch.fnmatchcase(path, known.where)]
            if by_design:
                stale = [known for known in stale if known not in by_design]
                continue
            found.append(f"{path}\n      real    {_short(left)}\n      perdure {_short(right)}")
    return found, stale


def _paired(theirs: list[Step], ours: list[Step]) -> Iterable[tuple[str, Any, Any]]:
    labels = [step.label for step in theirs]
    matcher = difflib.SequenceMatcher(a=labels, b=[step.label for step in ours], autojunk=False)
    for tag, a1, a2, b1, b2 in matcher.get_opcodes():
        if tag == "equal":
            for their, our in zip(theirs[a1:a2], ours[b1:b2], strict=True):
                yield their.label, their.outcome, our.outcome
            continue
        for step in theirs[a1:a2]:
            yield step.label, step.outcome, _MISSING
        for step in ours[b1:b2]:
            yield step.label, _MISSING, step.outcome


def _leaves(left: Any, right: Any, path: str) -> Iterable[tuple[str, Any, Any]]:
    """Yield the smallest parts that differ."""
    if left == right:
        return
    if isinstance(left, dict) and isinstance(right, dict):
        for key in [*left, *(key for key in right if key not in left)]:
            yield from _leaves(left.get(key, _MISSING), right.get(key, _MISSING), f"{path}.{key}")
    elif isinstance(left, list) and isinstance(right, list):
        yield from _list_leaves(left, right, path)
    else:
        yield path, left, right


def _list_leaves(left: list[Any], right: list[Any], path: str) -> Iterable[tuple[str, Any, Any]]:
    """Line lists up by what their items are, so that one event too many is one difference."""
    matcher = difflib.SequenceMatcher(
        a=[_kind(item) for item in left], b=[_kind(item) for item in right], autojunk=False
    )
    for tag, a1, a2, b1, b2 in matcher.get_opcodes():
        if tag == "equal":
            for n, (a, b) in enumerate(zip(left[a1:a2], right[b1:b2], strict=True)):
                yield from _leaves(a, b, f"{path}[{a1 + n}]")
            continue
        for n, item in enumerate(left[a1:a2]):
            yield f"{path}[{a1 + n}]", item, _MISSING
        for n, item in enumerate(right[b1:b2]):
            yield f"{path}[{b1 + n}]", _MISSING, item


def _kind(item: Any) -> str:
    if isinstance(item, dict):
        return str(item.get("event_type") or sorted(item)[:1])
    return str(item)


def _short(value: Any) -> str:
    text = value if value == _MISSING else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 600 else f"{text[:600]}… ({len(text)} characters)"
