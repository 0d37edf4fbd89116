"""The runs of the servers, and the questions to them. The same every time."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

#: Names of the namespace's own search attributes, one of each type.
ATTRIBUTES = {
    "KW": "Keyword",
    "KL": "KeywordList",
    "I": "Int",
    "D": "Double",
    "B": "Bool",
    "DT": "Datetime",
    "T": "Text",
}
#: How an execution ends; those of the first two need no worker.
ENDINGS = ("open", "terminated", "timed out", "completed", "failed", "canceled", "continued")
GENERATED_COUNT = 50
_COLORS = ("red", "green", "blue", "it's 100%")
_TEXTS = ("Alpha beta", "beta-gamma Zoë", "alpha, alpha", "The quick-brown fox", "-")
_QUERIES = Path(__file__).parent / "queries.txt"


@dataclass(frozen=True)
class Execution:
    workflow_id: str
    workflow_type: str
    task_queue: str
    ending: str
    attributes: dict[str, Any]


def executions(count: int) -> list[Execution]:
    return [_execution(number) for number in range(count)]


def _execution(number: int) -> Execution:
    # Two of three stay open or are terminated.
    ending = ENDINGS[number // 3 % len(ENDINGS)] if number % 3 == 0 else ENDINGS[number % 3 - 1]
    has_worker = ending in ENDINGS[3:]
    attributes = {
        "KW": _COLORS[number % 4],
        "KL": [["a"], ["a", "b"], ["c", "a b"], ["x"]][number // 2 % 4],
        "I": number % 7 - 1,
        "D": number % 5 / 2,
        "B": number % 2 == 0,
        "DT": f"2026-01-{number % 9 + 1:02}T00:00:00Z",
        "T": _TEXTS[number % 5],
    }
    kept = {
        name: value for bit, (name, value) in enumerate(attributes.items()) if number >> bit & 1
    }
    return Execution(
        f"w{number}",
        f"T{number % 3}",
        "worked" if has_worker else f"q{number % 2}",
        ending,
        kept,
    )


def queries() -> list[str]:
    return [*_QUERIES.read_text(encoding="utf-8").splitlines(), *_generated()]


# Generated

_text = st.sampled_from(("red", "green", "a", "w1", "w20", "T1", "q0", "zzz", "it''s 100%", ""))
_order = st.sampled_from(("=", "!=", "<", "<=", ">", ">="))
_equality = st.sampled_from(("=", "!="))


def _quoted(strategy: Any) -> Any:
    return strategy.map(lambda value: f"'{value}'")


def _compared(names: tuple[str, ...], values: Any) -> Any:
    pair = st.tuples(values, values)
    name = st.sampled_from(names)
    return st.one_of(
        st.builds("{} {} {}".format, name, _order, values),
        st.builds("{} in ({})".format, name, st.lists(values, min_size=1).map(", ".join)),
        st.builds("{} between {}".format, name, pair.map(" and ".join)),
        st.builds("{} is not null".format, name),
    )


_leaves = st.one_of(
    _compared(("WorkflowId", "WorkflowType", "TaskQueue", "KW", "ParentWorkflowId"), _quoted(_text)),
    _compared(("I", "HistoryLength"), st.integers(-2, 8).map(str)),
    _compared(("D",), st.sampled_from(("0", "0.5", "1.25", "2", "-1"))),
    _compared(("StartTime", "CloseTime", "DT"), st.sampled_from(("'2020-01-01T00:00:00Z'", "'2026-01-04T12:00:00Z'", "'2100-01-01T00:00:00Z'"))),
    st.builds("ExecutionStatus {} '{}'".format, _equality, st.sampled_from(("Running", "Failed", "Terminated"))),
    st.builds("KL {} {}".format, _equality, _quoted(st.sampled_from(("a", "b", "a b", "zzz")))),
    st.builds("T {} {}".format, _equality, _quoted(st.sampled_from(("alpha", "beta-gamma", "fox quick", "zoe")))),
    st.builds("KW starts_with {}".format, _quoted(_text)),
    st.builds("B {} {}".format, _equality, st.sampled_from(("true", "false"))),
)  # fmt: skip
_conditions = st.recursive(
    _leaves,
    lambda parts: st.one_of(
        st.builds("({} and {})".format, parts, parts),
        st.builds("({} or {})".format, parts, parts),
        parts.map("not ({})".format),
    ),
    max_leaves=6,
)


def _generated() -> list[str]:
    found: dict[str, None] = {}

    @settings(
        max_examples=4 * GENERATED_COUNT,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(_conditions)
    def collect(query: str) -> None:
        found[query] = None

    collect()
    assert len(found) >= GENERATED_COUNT
    # The later ones are the larger ones.
    return list(found)[-GENERATED_COUNT:]
