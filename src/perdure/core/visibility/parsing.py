"""Parses the text of a list filter into a tree, or refuses it in the API's words.

`sqlglot` reads the grammar. Only the kinds of node that are named here get through: anything else is refused, and no
part of the text goes any further than into the values of a tree.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any as Node

from temporalio.api.enums.v1 import IndexedValueType as Type

from perdure.core.search_attributes import TYPE_NAMES
from perdure.core.visibility.attributes import NAMESPACE_DIVISION, Attribute, find
from perdure.core.visibility.filters import (
    EVERYTHING,
    IN_NO_DIVISION,
    All,
    Any,
    Between,
    Compare,
    Condition,
    Contains,
    Filter,
    IsNull,
    Mentions,
    OneOf,
    Operator,
    StartsWith,
    Value,
    negated,
)
from perdure.core.visibility.literals import (
    INVALID,
    NOT_SUPPORTED,
    checked,
    number_of,
    phrases_of,
    refused,
    text_of,
    unsupported,
)

# A node of `sqlglot`'s tree is a `Node`: its classes are not imported here, and their types say little.
#: A longer filter would hold up everybody else while it is read.
QUERY_CHARACTERS_MAX = 32_768
CONDITIONS_MAX = 500

_MALFORMED = "malformed SQL query"
_GROUP_BY = ("ExecutionStatus", NAMESPACE_DIVISION)
_WITH_RANGES = (
    Type.INDEXED_VALUE_TYPE_DATETIME,
    Type.INDEXED_VALUE_TYPE_DOUBLE,
    Type.INDEXED_VALUE_TYPE_INT,
    Type.INDEXED_VALUE_TYPE_KEYWORD,
)


def parse_filter(query: str, custom: Mapping[str, str]) -> Filter:
    """Return the tree of a query; `custom`: name → field of the namespace's search attributes. Raises `Rejected`."""
    if not query.strip():
        return EVERYTHING
    if len(query) > QUERY_CHARACTERS_MAX:
        raise refused(f"query is longer than {QUERY_CHARACTERS_MAX} characters")
    try:
        return _Reader(custom).filter(query.strip())
    except RecursionError as error:
        raise refused(f"{_MALFORMED}: too many levels") from error


class _Reader:
    def __init__(self, custom: Mapping[str, str]) -> None:
        from perdure.core.visibility import grammar

        self._grammar = grammar
        self._custom = custom
        self._sees_divisions = False
        self._conditions_count = 0
        exp: Node = grammar.exp
        self._readers: dict[type, Callable[..., Condition]] = {
            exp.Paren: lambda node: self._condition(node.this),
            exp.Not: lambda node: negated(self._condition(node.this)),
            exp.And: self._joined,
            exp.Or: self._joined,
            exp.Is: self._is,
            exp.In: self._in,
            exp.Between: self._between,
            grammar.StartsWithNode: self._prefix,
        }
        for kind, operator in (
            (exp.EQ, Operator.EQUAL),
            (exp.NEQ, Operator.NOT_EQUAL),
            (exp.LT, Operator.LESS),
            (exp.LTE, Operator.LESS_OR_EQUAL),
            (exp.GT, Operator.GREATER),
            (exp.GTE, Operator.GREATER_OR_EQUAL),
        ):
            self._readers[kind] = lambda node, operator=operator: self._compare(node, operator)
        #: Operators that the grammar has and no attribute.
        self._foreign = {
            exp.Like: "LIKE",
            exp.ILike: "LIKE",
            exp.RegexpLike: "REGEXP",
            exp.NullSafeEQ: "<=>",
        }

    def filter(self, query: str) -> Filter:
        select = self._select(query)
        if select.args.get("limit") or select.args.get("offset"):
            raise refused(f"{NOT_SUPPORTED}: 'LIMIT' clause")
        where = select.args.get("where")
        condition = self._condition(where.this) if where else None
        group_by = self._group_by(select)
        order = select.args.get("order")
        if order:
            for ordered in order.expressions:
                attribute = self._attribute(ordered.this)
                if attribute.kind == Type.INDEXED_VALUE_TYPE_TEXT:
                    raise refused(f"{NOT_SUPPORTED}: unable to sort by search attribute type Text")
            # Temporal: so do its SQL databases.
            raise refused(f"{NOT_SUPPORTED}: 'ORDER BY' clause")
        if condition is None:
            condition = All(()) if self._sees_divisions else IN_NO_DIVISION
        elif not self._sees_divisions:
            condition = All((IN_NO_DIVISION, *_parts(condition)))
        return Filter(condition, group_by)

    def _select(self, query: str) -> Node:
        starts_with_clause = query.lower().startswith(("order by", "group by"))
        sql = f"select * from runs {query if starts_with_clause else 'where ' + query}"
        try:
            statements = self._grammar.parse(
                sql, dialect=self._grammar.ListFilters, error_message_context=len(sql)
            )
        except self._grammar.ParseError as error:
            raise refused(f"{_MALFORMED}: {_place(error, len(sql) - len(query))}") from error
        except self._grammar.SqlglotError as error:
            raise refused(f"{_MALFORMED}: syntax error") from error
        selects: list[Node] = [statement for statement in statements if statement is not None]
        if len(selects) != 1 or not isinstance(selects[0], self._grammar.exp.Select):
            raise refused(f"{_MALFORMED}: syntax error")
        [select] = selects
        known = {"kind", "expressions", "from_", "from", "where", "group", "order", "having"}
        foreign = [
            name
            for name, value in select.args.items()
            if value and name not in known | {"limit", "offset"}
        ]
        if foreign:
            raise refused(f"{_MALFORMED}: syntax error near '{foreign[0]}'")
        return select

    def _group_by(self, select: Node) -> Attribute | None:
        group = select.args.get("group")
        if not group:
            return None
        if len(group.expressions) != 1:
            raise refused(f"{NOT_SUPPORTED}: 'GROUP BY' clause supports only a single field")
        attribute = self._attribute(group.expressions[0])
        if attribute.field not in _GROUP_BY:
            raise refused(
                f"{NOT_SUPPORTED}: 'GROUP BY' clause is not supported for search attribute"
                f" {attribute.name}"
            )
        return attribute

    # Conditions

    def _condition(self, node: Node) -> Condition:
        self._conditions_count += 1
        if self._conditions_count > CONDITIONS_MAX:
            raise refused(f"more than {CONDITIONS_MAX} conditions")
        reader = self._readers.get(type(node))
        if reader is not None:
            return reader(node)
        exp = self._grammar.exp
        if type(node) in self._foreign:
            self._refuse_operator(node)
        if isinstance(node, exp.Column):
            raise refused(f"{INVALID}: incomplete expression")
        if isinstance(node, exp.Star):
            raise refused(f"{_MALFORMED}: syntax error")
        kind = "function expression" if isinstance(node, exp.Func) else "expression of this type"
        raise refused(f"{NOT_SUPPORTED}: {kind}: {_shown(node)}")

    def _refuse_operator(self, node: Node) -> None:
        attribute = self._attribute(node.this)
        self._value(node.expression, attribute)
        name = self._foreign[type(node)]
        raise unsupported(f"NOT {name}" if node.args.get("negate") else name, attribute)

    def _joined(self, node: Node) -> Condition:
        joined = All if isinstance(node, self._grammar.exp.And) else Any
        parts: list[Condition] = []
        for each in _flat(node, type(node)):
            part = self._condition(each)
            parts += part.parts if isinstance(part, joined) else (part,)
        return joined(tuple(parts))

    def _compare(self, node: Node, operator: Operator) -> Condition:
        attribute = self._attribute(node.this)
        value = self._value(node.expression, attribute)
        is_equality = operator in (Operator.EQUAL, Operator.NOT_EQUAL)
        is_negated = operator is Operator.NOT_EQUAL
        if attribute.kind == Type.INDEXED_VALUE_TYPE_KEYWORD_LIST:
            if not is_equality:
                raise unsupported(operator, attribute)
            return Contains(attribute, (text_of(value),), is_negated)
        if attribute.kind == Type.INDEXED_VALUE_TYPE_TEXT:
            if not is_equality:
                raise unsupported(operator, attribute)
            return Mentions(attribute, phrases_of(text_of(value), attribute), is_negated)
        return Compare(attribute, operator, value)

    def _in(self, node: Node) -> Condition:
        attribute = self._attribute(node.this)
        if node.args.get("query"):
            raise refused(f"{INVALID}: unexpected value type: a subquery")
        if node.args.get("field") or node.args.get("unnest") or not node.expressions:
            raise refused(f"{_MALFORMED}: syntax error near 'in'")
        values = tuple(self._value(each, attribute) for each in node.expressions)
        if attribute.kind == Type.INDEXED_VALUE_TYPE_KEYWORD_LIST:
            return Contains(attribute, tuple(text_of(value) for value in values))
        if attribute.kind == Type.INDEXED_VALUE_TYPE_TEXT:
            raise unsupported("IN", attribute)
        return OneOf(attribute, values)

    def _between(self, node: Node) -> Condition:
        attribute = self._attribute(node.this)
        if attribute.kind not in _WITH_RANGES:
            raise refused(
                f"{INVALID}: cannot do range condition on search attribute '{attribute.name}'"
                f" of type {TYPE_NAMES[attribute.kind]}"
            )
        low = self._value(node.args["low"], attribute)
        return Between(attribute, low, self._value(node.args["high"], attribute))

    def _prefix(self, node: Node) -> Condition:
        attribute = self._attribute(node.this)
        value = self._value(node.expression, attribute)
        name = "not starts_with" if node.args.get("negate") else "starts_with"
        if attribute.kind != Type.INDEXED_VALUE_TYPE_KEYWORD:
            raise unsupported(name.upper(), attribute)
        if not isinstance(value, str):
            raise refused(
                f'{INVALID}: right-hand side of "{name}" operator must be a literal string'
                f" (got: {node.expression.name or _shown(node.expression)})"
            )
        return StartsWith(attribute, value)

    def _is(self, node: Node) -> Condition:
        attribute = self._attribute(node.this)
        exp = self._grammar.exp
        if not isinstance(node.expression, exp.Null | exp.Boolean):
            raise refused(_MALFORMED)
        if not isinstance(node.expression, exp.Null):
            raise refused(
                f"{INVALID}: 'IS' operator can only be used as 'IS NULL' or 'IS NOT NULL'"
            )
        return IsNull(attribute)

    # Names and values

    def _attribute(self, node: Node) -> Attribute:
        if not isinstance(node, self._grammar.exp.Column):
            raise refused(f"{INVALID}: must be a column name but was {_shown(node)}")
        name = ".".join(part.name for part in node.parts)
        attribute = find(name, self._custom)
        if attribute is None:
            raise refused(f"invalid search attribute: {name}")
        if attribute.field == NAMESPACE_DIVISION:
            self._sees_divisions = True
        return attribute

    def _value(self, node: Node, attribute: Attribute) -> Value:
        exp = self._grammar.exp
        if isinstance(node, exp.Boolean):
            return checked(attribute, bool(node.this))
        if isinstance(node, exp.Literal):
            text: str = node.this
            return checked(attribute, text if node.is_string else number_of(text))
        is_negative = isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal)
        if is_negative and not node.this.is_string:
            return checked(attribute, number_of(f"-{node.this.this}"))
        if isinstance(node, exp.HexString | exp.Placeholder):
            raise refused(f'{INVALID}: unable to parse value "{_shown(node)}"')
        if isinstance(node, exp.Column):
            raise refused(
                f"{NOT_SUPPORTED}: column name on the right side of comparison expression"
                f' (did you forget to quote "{_shown(node)}"?)'
            )
        if isinstance(node, exp.Func):
            raise refused(f"{NOT_SUPPORTED}: nested func")
        raise refused(f"{INVALID}: unexpected value type: {_shown(node)}")


def _place(error: Node, before: int) -> str:
    """Say where the grammar ends to hold. `before`: characters before the query that a client wrote."""
    [first, *_] = error.errors or [{}]
    if not first.get("highlight"):
        return "syntax error"
    position = max(1, len(first["start_context"]) - before + 1)
    near = first["highlight"].strip("'\"`")[:100]
    return f"syntax error at position {position} near '{near}'"


def _parts(condition: Condition) -> tuple[Condition, ...]:
    return condition.parts if isinstance(condition, All) else (condition,)


def _flat(node: Node, kind: Node) -> Iterator[Node]:
    """Yield what is joined by one operator, from the left: `a AND b AND c` is a tree as deep as it is long."""
    right = []
    left = node
    while isinstance(left, kind):
        right.append(left.args["expression"])
        left = left.this
    yield left
    yield from reversed(right)


def _shown(node: Node) -> str:
    text: str = node.sql()
    return text[:100]
