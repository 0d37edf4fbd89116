"""Prometheus' text format, version 0.0.4.

The Prometheus client for Python ends every counter's name in `_total`. The real server's counters do not end so, and
its dashboards must work here: this module writes their names as they are.
"""

from collections.abc import Iterator

from perdure.metrics.registry import Counter, Gauge, Histogram, Labels, Metric, Registry

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: The name of a series, its labels as text, and its value.
Sample = tuple[str, str, float]


def text(registry: Registry) -> str:
    """Return all metrics that have a value, by name."""
    lines: list[str] = []
    for metric in sorted(registry.metrics, key=lambda metric: metric.name):
        head = f"# TYPE {metric.name} {_TYPES[type(metric)]}"
        for name, labels, value in _samples(metric):
            if head:
                lines.append(f"# HELP {metric.name} {metric.name} {_TYPES[type(metric)]}")
                lines.append(head)
                head = ""
            lines.append(f"{name}{{{labels}}} {value:.17g}" if labels else f"{name} {value:.17g}")
    return "".join(f"{line}\n" for line in lines)


_TYPES: dict[type[Metric], str] = {Counter: "counter", Gauge: "gauge", Histogram: "histogram"}


def _samples(metric: Metric) -> Iterator[Sample]:
    if isinstance(metric, Histogram):
        yield from _histogram(metric)
        return
    for values, number in metric.values():
        yield metric.name, _labels(metric.labels, values), number


def _histogram(metric: Histogram) -> Iterator[Sample]:
    for values, series in metric.values():
        labels = _labels(metric.labels, values)
        comma = "," if labels else ""
        below = 0
        for bound, count in zip((*metric.bounds, float("inf")), series.counts, strict=True):
            below += count
            shown = "+Inf" if bound == float("inf") else f"{bound:g}"
            yield f"{metric.name}_bucket", f'{labels}{comma}le="{shown}"', below
        yield f"{metric.name}_sum", labels, series.total
        yield f"{metric.name}_count", labels, below


def _labels(names: Labels, values: Labels) -> str:
    return ",".join(
        f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)
    )


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
