"""Rates that nothing exceeds, and nothing falls short of."""

import math

from hypothesis import given
from hypothesis import strategies as st

from perdure.core.matching.token_bucket import SECOND_NS, TokenBucket

RATES = st.one_of(st.integers(1, 200), st.floats(0.1, 50.0))


#: Pauses between one call and the next.
PAUSES = st.lists(st.integers(0, 3 * SECOND_NS), max_size=60)


@given(RATES, PAUSES)
def test_no_more_is_taken_than_the_rate_allows_and_a_full_bucket(rate, pauses):
    bucket, now_ns, taken = TokenBucket(rate), SECOND_NS, []
    for pause_ns in pauses:
        now_ns += pause_ns
        while bucket.has_token(now_ns):
            bucket.take(now_ns)
            taken.append(now_ns)
    for first, from_ns in enumerate(taken):
        for last in range(first, len(taken)):
            allowed = bucket.capacity + rate * (taken[last] - from_ns) / SECOND_NS
            assert last - first + 1 <= allowed + 1e-6


@given(RATES, PAUSES)
def test_the_next_token_is_there_when_it_is_announced_and_not_before(rate, pauses):
    bucket, now_ns = TokenBucket(rate), SECOND_NS
    for pause_ns in pauses:
        now_ns += pause_ns
        while bucket.has_token(now_ns):
            bucket.take(now_ns)
        ready_at_ns = bucket.ready_at_ns()
        assert ready_at_ns is not None
        assert not bucket.has_token(ready_at_ns - 1)
        assert bucket.has_token(ready_at_ns)
        assert ready_at_ns - now_ns <= math.ceil(SECOND_NS / rate)


def test_no_rate_at_all_lets_nothing_through():
    bucket = TokenBucket(0)
    assert bucket.ready_at_ns() is None
    assert not bucket.has_token(10**20)


@given(RATES, RATES)
def test_another_rate_fills_no_bucket(before, after):
    bucket, now_ns = TokenBucket(before), SECOND_NS
    while bucket.has_token(now_ns):
        bucket.take(now_ns)
    changed = bucket.at_rate(after, now_ns)
    assert not changed.has_token(now_ns) or changed.capacity > 1
    count = 0
    while changed.has_token(now_ns):
        changed.take(now_ns)
        count += 1
    assert count <= changed.capacity


@given(RATES)
def test_a_queue_that_stood_still_goes_on_with_its_new_rate(rate):
    changed = TokenBucket(0).at_rate(rate, SECOND_NS)
    ready_at_ns = changed.ready_at_ns()
    assert ready_at_ns is not None
    assert 0 <= ready_at_ns - SECOND_NS <= math.ceil(SECOND_NS / rate)
