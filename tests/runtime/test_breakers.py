"""Whoever fails again and again is left alone for a while."""

import asyncio

import pytest

from perdure.runtime.breakers import FAILURES_MAX, Breaker, Breakers


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(0.01)
    assert [breaker.failed(clock.now) for _ in range(FAILURES_MAX + 1)] == [False] * 5 + [True]
    return breaker


async def waits(breaker: Breaker, clock: Clock) -> asyncio.Task[None]:
    task = asyncio.create_task(breaker.wait(clock))
    await asyncio.sleep(0.03)
    return task


@pytest.mark.parametrize("url", ["http://[zz]/x", "http://a]b/", "http://a\u2100b/", "http://"])
def test_who_has_an_odd_name_has_a_breaker_too(url) -> None:
    assert Breakers().get("ns", url, 1.0).is_closed


def test_one_receiver_has_many_paths() -> None:
    breakers = Breakers()
    urls = ("http://a:1/b", "HTTP://a:1?c", "http://a:1", "http://a:1#d")
    assert len({id(breakers.get("ns", url, 1.0)) for url in urls}) == 1
    assert breakers.get("ns", "http://a:2/b", 1.0) is not breakers.get("ns", urls[0], 1.0)


async def test_a_success_in_between_forgives() -> None:
    breaker = Breaker(1)
    for _ in range(4):
        for _ in range(FAILURES_MAX):
            assert not breaker.failed(0)
        breaker.succeeded()
    assert breaker.is_closed


async def test_one_request_shows_whether_it_is_back() -> None:
    clock = Clock()
    breaker = opened(clock)
    first = await waits(breaker, clock)
    assert not first.done(), "it is left alone"
    clock.now += 0.01
    await asyncio.wait_for(first, 5)
    second = await waits(breaker, clock)
    assert not second.done(), "one is enough"
    breaker.succeeded()
    await asyncio.wait_for(second, 5)
    assert breaker.is_closed


@pytest.mark.parametrize("fails", [True, False])
async def test_a_probe_that_shows_nothing_is_followed_by_another(fails: bool) -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 0.01
    await breaker.wait(clock)
    waiting = await waits(breaker, clock)
    if fails:
        assert breaker.failed(clock.now)
        await asyncio.sleep(0.03)
        assert not waiting.done()
        clock.now += 0.01
    else:
        breaker.abandoned()
    await asyncio.wait_for(waiting, 5)
    assert not breaker.is_closed


def test_a_host_has_one_for_all_its_paths_and_each_namespace_its_own() -> None:
    breakers = Breakers()
    one = breakers.get("ns", "http://h:1/a", 1)
    assert breakers.get("ns", "http://h:1/b?c", 1) is one
    assert breakers.get("other", "http://h:1/a", 1) is not one
    assert breakers.get("ns", "http://h:2/a", 1) is not one
    assert breakers.get("ns", "https://h:1/a", 1) is not one
