"""The grammar of list filters, on top of `sqlglot`'s of MySQL. Importing this costs memory and a third of a second."""

from sqlglot import exp, parse
from sqlglot.dialects.mysql import MySQL
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.parsers.mysql import MySQLParser
from sqlglot.tokenizer_core import TokenType

#: A token that nothing else of the grammar needs.
_PREFIX_TOKEN = TokenType.GLOB
#: Operators of `sqlglot` that the API's parser does not know.
_ABSENT = ("==", "GLOB", "XOR", "!", "ILIKE", "UNKNOWN")
_NOT_NULL = [TokenType.NOT, TokenType.NULL]


class StartsWithNode(exp.Expression, exp.Binary):
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
        StartsWithNode(this=this, expression=self._parse_bitwise())
    )

    def _parse_range(self, this: exp.Expr | None = None, parse_is: bool = False) -> exp.Expr | None:
        kinds = [token.token_type for token in (self._curr, self._next) if token]
        if kinds[:1] in ([TokenType.ISNULL], [TokenType.NOTNULL]) or kinds == _NOT_NULL:
            self.raise_error("`IS` is missing")
        return super()._parse_range(this, parse_is)

    def _negate_range(self, this: exp.Expr | None = None) -> exp.Expr | None:
        if isinstance(this, StartsWithNode):
            this.set("negate", True)
        return super()._negate_range(this)


class ListFilters(MySQL):
    # Temporal: a backslash before % or _ is dropped, as before all that it gives no other meaning to.
    UNESCAPED_SEQUENCES = {**MySQL.UNESCAPED_SEQUENCES, "\\%": "%", "\\_": "_"}  # noqa: RUF012
    Tokenizer = _Tokenizer
    Parser = _Parser


__all__ = ["ListFilters", "ParseError", "SqlglotError", "StartsWithNode", "exp", "parse"]
