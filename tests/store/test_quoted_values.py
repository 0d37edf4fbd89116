"""A filter finds the values that it means, whatever signs are in them and however they are written, on every store.

The real server drops quotes at the ends of a value, and looks for values with a double quote, a backslash or a control
character in their JSON form: it finds none of them, or others. Here what is meant is found.
"""

import json
from itertools import product

import pytest

from perdure.core.visibility.parsing import parse_filter
from perdure.store.port import Batch
from tests.store.rows import visibility

SIGNS = "a'\"\\%_"
#: All that is written with up to two of these signs, and some longer ones.
VALUES = [
    *("".join(signs) for length in (1, 2) for signs in product(SIGNS, repeat=length)),
    *("'abc'", "abc", "it's", '"abc"', "a\\nb", "a\nb", "a\tb", "a''b", "100%", "50_50", "''''"),
    *("''a", "a''", "'a'b", "\\\\\\", "%%%", "aaa", "ä'ö"),
]
CUSTOM = {"Word": "Keyword01", "Words": "KeywordList01"}
#: A backslash changes the sign that follows it. Any other stays as it is.
ESCAPED = {"n": "\n", "t": "\t"}


def written(value: str) -> list[str]:
    """Return every way to write a value that the grammar has."""
    slashed = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
    single, double = slashed.replace("'", "''"), slashed.replace('"', '""')
    found = [f"'{single}'", f'"{double}"']
    found.append("'" + slashed.replace("'", "\\'") + "'")
    found.append('"' + slashed.replace('"', '\\"') + '"')
    found.append("'" + single.replace("%", "\\%").replace("_", "\\_") + "'")
    if not {"\n", "\t"} & set(value):
        found.append("'" + "".join(f"\\{sign}" for sign in value if sign not in "bnrtZ0") + "'")
        if set("bnrtZ0") & set(value):
            found.pop()
    return list(dict.fromkeys(found))


def meaning(literal: str) -> str:
    """Read a literal sign by sign: the definition that the grammar is compared with."""
    quote, text = literal[0], []
    signs = iter(literal[1:-1])
    for sign in signs:
        # A quote within is written twice.
        following = next(signs) if sign in ("\\", quote) else sign
        text.append(ESCAPED.get(following, following) if sign == "\\" else following)
    return "".join(text)


def read(literal: str) -> str:
    condition = parse_filter(f"Word = {literal}", CUSTOM).condition
    return condition.parts[-1].value


@pytest.mark.parametrize("value", VALUES)
def test_every_way_to_write_a_value_means_it(value):
    for literal in written(value):
        assert meaning(literal) == value, literal
        assert read(literal) == value, literal


async def test_what_is_meant_is_found(store, leases):
    rows = [
        visibility(
            f"{number:03}",
            attributes=json.dumps({"Keyword01": value, "KeywordList01": ["x", value]}),
        )
        for number, value in enumerate(VALUES)
    ]
    await store.commit(Batch(leases, visibility=rows))

    async def found(query: str) -> list[str]:
        filter = parse_filter(query, CUSTOM)
        listed = await store.list_visibility("namespace-1", limit=1000, after=None, filter=filter)
        assert await store.count_visibility("namespace-1", filter) == len(listed)
        return sorted(VALUES[int(row.run_id)] for row in listed)

    everything = sorted(VALUES)
    for value in VALUES:
        literals = written(value)
        for literal in literals:
            assert await found(f"Word = {literal}") == [value], literal
        for literal in literals[:1]:
            others = [each for each in everything if each != value]
            begun = [each for each in everything if each.startswith(value)]
            assert await found(f"Word != {literal}") == others
            assert await found(f"Word IN ('no', {literal})") == [value]
            assert await found(f"Word NOT IN ({literal}, 'no')") == others
            assert await found(f"Word STARTS_WITH {literal}") == begun
            rest = [each for each in everything if each not in begun]
            assert await found(f"Word NOT STARTS_WITH {literal}") == rest
            assert await found(f"Word BETWEEN {literal} AND {literal}") == [value]
            later = [each for each in everything if each.encode() >= value.encode()]
            assert await found(f"Word BETWEEN {literal} AND 'ÿ'") == later
            assert await found(f"Word > {literal}") == [each for each in later if each != value]
            assert await found(f"Words = {literal}") == [value]
            assert await found(f"Words IN ('no', {literal})") == [value]
