"""The text of a list filter becomes a tree, or is refused in the real server's words."""

import subprocess
import sys

import pytest

from perdure.core.errors import Code, Rejected
from perdure.core.visibility.attributes import Attribute
from perdure.core.visibility.filters import (
    EVERYTHING,
    IN_NO_DIVISION,
    All,
    Any,
    Between,
    Compare,
    Contains,
    Filter,
    IsNull,
    Mentions,
    OneOf,
    Operator,
    StartsWith,
    statuses_only,
)
from perdure.core.visibility.parsing import CONDITIONS_MAX, QUERY_CHARACTERS_MAX, parse_filter
from perdure.core.visibility.values import INT64_MAX, duration_ns, time_ns, words

CUSTOM = {"Color": "Keyword01", "Size": "Int02", "Tags": "KeywordList01", "Note": "Text01"}
ID = Attribute("WorkflowId", "WorkflowId")
STATUS = Attribute("ExecutionStatus", "ExecutionStatus")


def condition(query):
    """The condition, without what is added to every filter."""
    found = parse_filter(query, CUSTOM).condition
    assert isinstance(found, All)
    assert found.parts[0] == IN_NO_DIVISION
    return found.parts[1] if len(found.parts) == 2 else All(found.parts[1:])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("WorkflowId = 'a'", Compare(ID, Operator.EQUAL, "a")),
        ('WorkflowId <> "a"', Compare(ID, Operator.NOT_EQUAL, "a")),
        ("`WorkflowId` = 'it''s'", Compare(ID, Operator.EQUAL, "it's")),
        ("not WorkflowId >= 'a'", Compare(ID, Operator.LESS, "a")),
        ("not not WorkflowId > 'a'", Compare(ID, Operator.GREATER, "a")),
        ("WorkflowId in ('a', 'b')", OneOf(ID, ("a", "b"))),
        ("WorkflowId not in ('a')", OneOf(ID, ("a",), True)),
        ("WorkflowId between 'a' and 'b'", Between(ID, "a", "b")),
        ("WorkflowId not between 'a' and 'b'", Between(ID, "a", "b", True)),
        ("WorkflowId starts_with 'a'", StartsWith(ID, "a")),
        ("WorkflowId NOT STARTS_WITH 'a'", StartsWith(ID, "a", True)),
        ("WorkflowId is not null", IsNull(ID, True)),
        ("Size = -5", Compare(Attribute("Size", "Int02"), Operator.EQUAL, -5)),
        ("Tags != 'x'", Contains(Attribute("Tags", "KeywordList01"), ("x",), True)),
        ("Note = 'Zoë, -'", Mentions(Attribute("Note", "Text01"), (" zoe ",))),
        ("ExecutionStatus = 'TimedOut'", Compare(STATUS, Operator.EQUAL, 7)),
        ("ExecutionStatus = 1", Compare(STATUS, Operator.EQUAL, 1)),
        (
            "not (WorkflowId = 'a' or Size is null)",
            All(
                (
                    Compare(ID, Operator.NOT_EQUAL, "a"),
                    IsNull(Attribute("Size", "Int02"), True),
                )
            ),
        ),
        (
            "WorkflowId = 'a' || WorkflowId = 'b'",
            Any((Compare(ID, Operator.EQUAL, "a"), Compare(ID, Operator.EQUAL, "b"))),
        ),
    ],
)
def test_trees(query, expected):
    assert condition(query) == expected


def test_what_names_mean():
    assert condition("ScheduleId = 'a'").attribute.field == "WorkflowId"
    assert condition("ScheduledById = 'a'").attribute.field == "TemporalScheduledById"
    assert condition("TemporalWorkflowId = 'a'").attribute.field == "WorkflowId"
    assert condition("Keyword07 = 'a'").attribute.field == "Keyword07"


def test_divisions_are_shown_when_they_are_asked_for():
    assert parse_filter(" ", CUSTOM) == EVERYTHING
    found = parse_filter("TemporalNamespaceDivision is null", CUSTOM).condition
    assert found == IN_NO_DIVISION
    assert parse_filter("TemporalNamespaceDivision = 'x'", CUSTOM).condition == Compare(
        Attribute("TemporalNamespaceDivision", "TemporalNamespaceDivision"), Operator.EQUAL, "x"
    )


def test_groups():
    found = parse_filter("WorkflowId = 'a' group by ExecutionStatus", CUSTOM)
    assert found.group_by == STATUS
    assert parse_filter("GROUP BY TemporalNamespaceDivision", CUSTOM).condition == All(())


def test_what_kept_counts_answer():
    def kept(query):
        return statuses_only(parse_filter(query, CUSTOM)) is not None

    assert kept("")
    assert kept("GROUP BY ExecutionStatus")
    assert kept("ExecutionStatus != 'Running' and ExecutionStatus != 'Failed'")
    assert not kept("WorkflowId = 'a'")
    assert not kept("ExecutionStatus = 'Running' or TemporalNamespaceDivision is null")
    assert not kept("GROUP BY TemporalNamespaceDivision")
    assert statuses_only(EVERYTHING) == All(())
    assert statuses_only(Filter(All((IN_NO_DIVISION,)))) == All(())


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("Nope = 5", "invalid search attribute: Nope"),
        ("t.WorkflowId = 'a'", "invalid search attribute: t.WorkflowId"),
        ("WorkflowId", "invalid expression: incomplete expression"),
        ("WorkflowId = b", "operation is not supported: column name on the right side of"),
        ("WorkflowId = now()", "operation is not supported: nested func"),
        ("WorkflowId = 1 + 1", "invalid expression: unexpected value type"),
        ("WorkflowId = null", "invalid expression: unexpected value type"),
        ("WorkflowId = 'a' 'b'", "operation is not supported"),
        ("WorkflowId in (select 1)", "invalid expression: unexpected value type"),
        ("1 = 1", "invalid expression: must be a column name but was"),
        ("WorkflowId LIKE 'a'", "operation is not supported: operator 'LIKE' not supported for"),
        ("WorkflowId is true", "invalid expression: 'IS' operator can only be used as 'IS NULL'"),
        ("WorkflowId = 5", "of type Keyword: 5 (type: int64)"),
        ("Size = 'x'", 'of type Int: "x" (type: string)'),
        ("Tags > 'x'", "operator '>' not supported for KeywordList type search attribute 'Tags'"),
        ("Note STARTS_WITH 'x'", "operator 'STARTS_WITH' not supported for Text type"),
        ("Note in ('x')", "operator 'IN' not supported for Text type search attribute 'Note'"),
        ("Note = ' '", "no tokens found filtering on Text type search attribute Note"),
        ("Tags between 'a' and 'b'", "cannot do range condition on search attribute 'Tags' of"),
        ("StartTime > 'x'", "invalid expression: unable to parse datetime 'x'"),
        ("ExecutionStatus = 'x'", "invalid expression: invalid ExecutionStatus value 'x'"),
        ("ExecutionStatus = 77", "invalid expression: invalid ExecutionStatus value 77"),
        ("ExecutionDuration = 'x'", "invalid duration value for search attribute"),
        ("ORDER BY StartTime", "operation is not supported: 'ORDER BY' clause"),
        ("ORDER BY Nope", "invalid search attribute: Nope"),
        ("WorkflowId = 'a' LIMIT 1", "operation is not supported: 'LIMIT' clause"),
        ("GROUP BY WorkflowType", "'GROUP BY' clause is not supported for search attribute"),
        ("GROUP BY ExecutionStatus, RunId", "'GROUP BY' clause supports only a single field"),
        ("WorkflowId = 'a'; drop table runs", "malformed SQL query"),
        ("WorkflowId = 'a' union select 1", "malformed SQL query"),
        ("WorkflowId = 'a' for update", "malformed SQL query"),
        ("WorkflowId in ()", "malformed SQL query"),
        ("WorkflowId == 'a'", "malformed SQL query"),
        ("(WorkflowId = 'a'", "malformed SQL query"),
        ("WorkflowId = 'a", "malformed SQL query"),
        ("*", "malformed SQL query"),
        ("(" * 2000 + "WorkflowId = 'a'" + ")" * 2000, "malformed SQL query: too many levels"),
        ("WorkflowId = '" + "a" * QUERY_CHARACTERS_MAX + "'", "query is longer than"),
        (" and ".join(["WorkflowId = 'a'"] * (CONDITIONS_MAX + 1)), "more than"),
        ("WorkflowId = 'é' \n foo = 'b'", "syntax error at position 20 near 'foo'"),
        ("WorkflowId 'a'", "syntax error at position 12 near 'a'"),
        ("WorkflowId not null", "syntax error at position 12 near 'not'"),
        ("WorkflowId isnull", "syntax error at position 12 near 'isnull'"),
    ],
)
def test_refusals(query, said):
    with pytest.raises(Rejected) as refusal:
        parse_filter(query, CUSTOM)
    assert refusal.value.code is Code.INVALID_ARGUMENT
    assert refusal.value.message.startswith("invalid query: ")
    assert said in refusal.value.message


def test_a_long_filter_is_read():
    found = condition(" and ".join(f"WorkflowId != 'w{number}'" for number in range(300)))
    assert len(found.parts) == 300


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2024-02-29T12:00:00.5+02:00", 1709200800_500000000),
        ("2000-03-01T00:00:00.123456789123Z", 951868800_123456789),
        ("1969-12-31T23:59:59,5Z", -500000000),
        ("9999-12-31T23:59:59Z", INT64_MAX),
        ("2023-02-29T00:00:00Z", None),
        ("2023-01-01T24:00:00Z", None),
        ("2023-01-01T00:00:00", None),
        ("2023-01-01t00:00:00z", None),
        ("2023-01-01", None),
    ],
)
def test_times(text, expected):
    assert time_ns(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", 5),
        ("-7", -7),
        ("1h30m", 5400 * 10**9),
        ("1.5s", 1500 * 10**6),
        ("-2ms", -2 * 10**6),
        ("1d", 86400 * 10**9),
        ("01:02:03", 3723 * 10**9),
        ("1:2:99", None),
        ("x", None),
        ("1h x", None),
        ("9999999h", None),
    ],
)
def test_durations(text, expected):
    assert duration_ns(text) == expected


def test_words():
    assert words("The quick-brown FÓX, 2 times!") == " the quick brown fox 2 times "
    assert words(" - ") == " "


def test_a_server_that_nobody_filters_on_does_not_load_the_grammar():
    code = "import sys, perdure.server, perdure.core.visibility.parsing; print('sqlglot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
