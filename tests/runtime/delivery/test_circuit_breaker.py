"""A receiver that fails again and again gets nothing for a while."""

import asyncio

import pytest

from perdure.runtime.delivery.circuit_breaker import FAILURES_MAX, Breaker, CircuitBreakers


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def ends(breaker: Breaker, clock: Clock, *, well: bool) -> bool:
    """Make a request, and say whether its end has opened the breaker."""
    period = await breaker.wait(clock)
    if not well:
        return breaker.failed(period, clock.now)
    breaker.succeeded(period)
    return False


async def opened(clock: Clock) -> Breaker:
    breaker = Breaker(0.01)
    opens = [await ends(breaker, clock, well=False) for _ in range(FAILURES_MAX + 1)]
    assert opens == [False] * 5 + [True]
    return breaker


async def waits(breaker: Breaker, clock: Clock) -> asyncio.Task[int]:
    task = asyncio.create_task(breaker.wait(clock))
    await asyncio.sleep(0.03)
    return task


@pytest.mark.parametrize("url", ["http://[zz]/x", "http://a]b/", "http://a\u2100b/", "http://"])
def test_who_has_an_odd_name_has_a_breaker_too(url) -> None:
    assert CircuitBreakers().get("ns", url, 1.0).is_closed


def test_one_receiver_has_many_paths() -> None:
    breakers = CircuitBreakers()
    urls = ("http://a:1/b", "HTTP://a:1?c", "http://a:1", "http://a:1#d")
    assert len({id(breakers.get("ns", url, 1.0)) for url in urls}) == 1
    assert breakers.get("ns", "http://a:2/b", 1.0) is not breakers.get("ns", urls[0], 1.0)


async def test_a_success_in_between_forgives() -> None:
    breaker, clock = Breaker(1), Clock()
    for _ in range(4):
        for _ in range(FAILURES_MAX):
            assert not await ends(breaker, clock, well=False)
        await ends(breaker, clock, well=True)
    assert breaker.is_closed


async def test_one_request_shows_whether_it_is_back() -> None:
    clock = Clock()
    breaker = await opened(clock)
    first = await waits(breaker, clock)
    assert not first.done(), "it is left alone"
    clock.now += 0.01
    probe = await asyncio.wait_for(first, 5)
    second = await waits(breaker, clock)
    assert not second.done(), "one is enough"
    breaker.succeeded(probe)
    await asyncio.wait_for(second, 5)
    assert breaker.is_closed


@pytest.mark.parametrize("fails", [True, False])
async def test_a_probe_that_shows_nothing_is_followed_by_another(fails: bool) -> None:
    clock = Clock()
    breaker = await opened(clock)
    clock.now += 0.01
    probe = await breaker.wait(clock)
    waiting = await waits(breaker, clock)
    if fails:
        assert breaker.failed(probe, clock.now)
        await asyncio.sleep(0.03)
        assert not waiting.done()
        clock.now += 0.01
    else:
        breaker.abandoned(probe)
    await asyncio.wait_for(waiting, 5)
    assert not breaker.is_closed


@pytest.mark.parametrize("end", ["succeeded", "failed", "abandoned"])
async def test_a_request_from_before_it_opened_is_not_the_probe(end: str) -> None:
    clock = Clock()
    breaker = Breaker(0.01)
    early = [await breaker.wait(clock) for _ in range(FAILURES_MAX + 3)]
    for period in early[:-2]:
        breaker.failed(period, clock.now)

    def ends_late(period: int) -> None:
        if end == "failed":
            assert not breaker.failed(period, clock.now), "it was open already"
        else:
            getattr(breaker, end)(period)

    ends_late(early[-2])
    assert not breaker.is_closed
    waiting = await waits(breaker, clock)
    assert not waiting.done(), "it is left alone"
    clock.now += 0.01
    probe = await asyncio.wait_for(waiting, 5)
    ends_late(early[-1])
    assert not breaker.is_closed, "the probe tells that, and nobody else"
    another = await waits(breaker, clock)
    assert not another.done(), "the probe is under way still"
    assert breaker.failed(probe, clock.now)
    await asyncio.sleep(0.03)
    assert not another.done(), "it is left alone again from the end of the probe on"
    clock.now += 0.01
    breaker.succeeded(await asyncio.wait_for(another, 5))
    assert breaker.is_closed


def test_a_host_has_one_for_all_its_paths_and_each_namespace_its_own() -> None:
    breakers = CircuitBreakers()
    one = breakers.get("ns", "http://h:1/a", 1)
    assert breakers.get("ns", "http://h:1/b?c", 1) is one
    assert breakers.get("other", "http://h:1/a", 1) is not one
    assert breakers.get("ns", "http://h:2/a", 1) is not one
    assert breakers.get("ns", "https://h:1/a", 1) is not one
