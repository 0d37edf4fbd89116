"""The grammar of list filters, on top of `sqlglot`'s of MySQL. Importing this costs memory and a third of a second."""

from sqlglot import exp, parse
from sqlglot.dialects.mysql import MySQL
from sqlglot.errors import SqlglotError
from sqlglot.parsers.mysql import MySQLParser
from sqlglot.tokenizer_core import TokenType

#: A token that nothing else of the grammar needs.
_PREFIX_TOKEN = TokenType.GLOB
#: Operators of `sqlglot` that the API's parser does not know.
_ABSENT = ("==", "GLOB", "XOR", "!")


class StartsWith(exp.Expression, exp.Binary):
    """`a STARTS_WITH 'b'`."""


class _Tokenizer(MySQL.Tokenizer):
    KEYWORDS = dict(MySQL.Tokenizer.KEYWORDS)  # noqa: RUF012
    KEYWORDS["STARTS_WITH"] = _PREFIX_TOKEN
    SINGLE_TOKENS = dict(MySQL.Tokenizer.SINGLE_TOKENS)  # noqa: RUF012
    for absent in _ABSENT:
        KEYWORDS.pop(absent, None)
        SINGLE_TOKENS.pop(absent, None)


class _Parser(MySQLParser):
    RANGE_PARSERS = dict(MySQLParser.RANGE_PARSERS)  # noqa: RUF012
    RANGE_PARSERS[_PREFIX_TOKEN] = lambda self, this: self.expression(
        StartsWith(this=this, expression=self._parse_bitwise())
    )


class ListFilters(MySQL):
    Tokenizer = _Tokenizer
    Parser = _Parser


__all__ = ["ListFilters", "SqlglotError", "StartsWith", "exp", "parse"]
