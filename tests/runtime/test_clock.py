"""The system's clock runs on while the machine sleeps, and never backwards."""

from perdure.runtime import clock as clocks
from perdure.runtime.clock import SystemClock


def test_leases_run_on_while_the_machine_sleeps(monkeypatch):
    """Another node may have taken over: what is in memory is not to be told as if it were true."""
    asked = []
    monkeypatch.setattr(clocks.time, "clock_gettime_ns", lambda which: asked.append(which) or 7)
    assert SystemClock().monotonic_ns() == 7
    assert asked == [clocks.time.CLOCK_BOOTTIME]


def test_a_clock_that_is_set_back_goes_on(monkeypatch):
    now = {"wall": 10**18, "monotonic": 5 * 10**9}
    monkeypatch.setattr(clocks.time, "time_ns", lambda: now["wall"])
    monkeypatch.setattr(clocks.time, "monotonic_ns", lambda: now["monotonic"])
    clock, hour = SystemClock(), 3600 * 10**9
    before = clock.now_ns()
    now["wall"] -= hour
    shown = [clock.now_ns()]
    for _ in range(200):
        now["wall"] += hour // 50
        now["monotonic"] += hour // 50
        shown.append(clock.now_ns())
    assert shown == sorted(shown)
    assert shown[0] == before
    assert shown[1] > before, "it does not stand still"
    assert shown[-1] == now["wall"], "it catches up"
