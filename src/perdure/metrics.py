"""Counters, gauges and histograms, and the text in which Prometheus reads them.

Names, labels and buckets are the real server's, so that its dashboards work. They are why the text is written here:
the Prometheus client for Python ends every counter's name in `_total`, and the real server's counters do not.

Everything runs on one event loop; a scrape from another thread sees each number as it is at that moment.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator

#: Seconds. Those of the real server.
LATENCY_BUCKETS_S = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
    10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0,
)  # fmt: skip

Labels = tuple[str, ...]
Sample = tuple[str, str, float]


class Counter:
    """Counts up from zero, by label values."""

    kind = "counter"

    def __init__(self, name: str, labels: Labels = ()) -> None:
        self.name = name
        self._labels = labels
        self._values: dict[Labels, float] = {}

    def add(self, values: Labels = (), amount: float = 1) -> None:
        self._values[values] = self._values.get(values, 0) + amount

    def samples(self) -> Iterator[Sample]:
        for values, number in sorted(self._values.items()):
            yield self.name, _pairs(self._labels, values), number


class Gauge:
    """Numbers that go up and down; `read` gives them when they are asked for."""

    kind = "gauge"

    def __init__(
        self, name: str, labels: Labels, read: Callable[[], Iterable[tuple[Labels, float]]]
    ) -> None:
        self.name = name
        self._labels = labels
        self._read = read

    def samples(self) -> Iterator[Sample]:
        for values, number in self._read():
            yield self.name, _pairs(self._labels, values), number


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

    kind = "histogram"

    def __init__(
        self, name: str, labels: Labels = (), bounds: tuple[float, ...] = LATENCY_BUCKETS_S
    ) -> None:
        self.name = name
        self._labels = labels
        self._bounds = bounds
        self._series: dict[Labels, Series] = {}

    def observe(self, value: float, values: Labels = ()) -> None:
        series = self._series.get(values)
        if series is None:
            series = self._series[values] = Series(len(self._bounds))
        series.observe(self._bounds, value)

    def samples(self) -> Iterator[Sample]:
        for values, series in sorted(self._series.items()):
            pairs = _pairs(self._labels, values)
            comma = "," if pairs else ""
            below = 0
            for bound, count in zip((*self._bounds, float("inf")), series.counts, strict=True):
                below += count
                shown = "+Inf" if bound == float("inf") else f"{bound:g}"
                yield f"{self.name}_bucket", f'{pairs}{comma}le="{shown}"', below
            yield f"{self.name}_sum", pairs, series.total
            yield f"{self.name}_count", pairs, below


Metric = Counter | Gauge | Histogram


class Registry:
    """All metrics of one server."""

    def __init__(self) -> None:
        self._metrics: list[Metric] = []

    def counter(self, name: str, *labels: str) -> Counter:
        metric = Counter(name, labels)
        self._metrics.append(metric)
        return metric

    def histogram(self, name: str, *labels: str) -> Histogram:
        metric = Histogram(name, labels)
        self._metrics.append(metric)
        return metric

    def gauge(
        self,
        name: str,
        read: Callable[[], Iterable[tuple[Labels, float]]],
        *labels: str,
    ) -> None:
        self._metrics.append(Gauge(name, labels, read))

    def text(self) -> str:
        """Return everything in Prometheus' text format 0.0.4."""
        lines: list[str] = []
        for metric in sorted(self._metrics, key=lambda metric: metric.name):
            head = f"# TYPE {metric.name} {metric.kind}"
            for name, pairs, number in metric.samples():
                if head:
                    lines.append(f"# HELP {metric.name} {metric.name} {metric.kind}")
                    lines.append(head)
                    head = ""
                lines.append(
                    f"{name}{{{pairs}}} {number:.17g}" if pairs else f"{name} {number:.17g}"
                )
        return "".join(f"{line}\n" for line in lines)


def _pairs(names: Labels, values: Labels) -> str:
    return ",".join(
        f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)
    )


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
