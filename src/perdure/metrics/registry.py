"""Counters, gauges and histograms. Names, labels and buckets are the real server's: its dashboards work here.

All of it runs on one event loop. A scrape on another thread reads each number as it is at that moment.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable

#: The real server's, in seconds.
LATENCY_BUCKETS_S = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
    10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0,
)  # fmt: skip

Labels = tuple[str, ...]


class Counter:
    """Numbers that go up from zero, by label values."""

    def __init__(self, name: str, labels: Labels = ()) -> None:
        self.name = name
        self.labels = labels
        self._values: dict[Labels, float] = {}

    def add(self, values: Labels = (), amount: float = 1) -> None:
        self._values[values] = self._values.get(values, 0) + amount

    def values(self) -> Iterable[tuple[Labels, float]]:
        return sorted(self._values.items())


class Gauge:
    """Numbers that go up and down. `read` returns them when Prometheus asks."""

    def __init__(
        self, name: str, labels: Labels, read: Callable[[], Iterable[tuple[Labels, float]]]
    ) -> None:
        self.name = name
        self.labels = labels
        self._read = read

    def values(self) -> Iterable[tuple[Labels, float]]:
        return self._read()


class Series:
    """The observations of one histogram under one set of label values."""

    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.total = 0.0

    def observe(self, bounds: tuple[float, ...], value: float) -> None:
        self.counts[bisect_left(bounds, value)] += 1
        self.total += value


class Histogram:
    """Counts observations by size."""

    def __init__(
        self, name: str, labels: Labels = (), bounds: tuple[float, ...] = LATENCY_BUCKETS_S
    ) -> None:
        self.name = name
        self.labels = labels
        self.bounds = bounds
        self._series: dict[Labels, Series] = {}

    def observe(self, value: float, values: Labels = ()) -> None:
        series = self._series.get(values)
        if series is None:
            series = self._series[values] = Series(len(self.bounds))
        series.observe(self.bounds, value)

    def values(self) -> Iterable[tuple[Labels, Series]]:
        return sorted(self._series.items())


Metric = Counter | Gauge | Histogram


class Registry:
    """All metrics of one server."""

    def __init__(self) -> None:
        self.metrics: list[Metric] = []

    def counter(self, name: str, *labels: str) -> Counter:
        metric = Counter(name, labels)
        self.metrics.append(metric)
        return metric

    def histogram(self, name: str, *labels: str) -> Histogram:
        metric = Histogram(name, labels)
        self.metrics.append(metric)
        return metric

    def gauge(
        self,
        name: str,
        read: Callable[[], Iterable[tuple[Labels, float]]],
        *labels: str,
    ) -> None:
        self.metrics.append(Gauge(name, labels, read))
