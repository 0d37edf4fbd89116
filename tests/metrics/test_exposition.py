"""The page of metrics is Prometheus' text format, and has the real server's names."""

from perdure.metrics.exposition import text
from perdure.metrics.registry import Registry


def test_a_metric_without_a_value_is_not_on_the_page():
    registry = Registry()
    registry.counter("requests")
    registry.gauge("runs", lambda: [])
    assert text(registry) == ""


def test_counters_keep_their_name_and_labels_are_escaped():
    registry = Registry()
    requests = registry.counter("requests", "namespace", "operation")
    requests.add(("b", "Poll"))
    requests.add(('a"\\\n', "Poll"), 2)
    requests.add(("b", "Poll"), 0.5)
    assert text(registry).splitlines() == [
        "# HELP requests requests counter",
        "# TYPE requests counter",
        'requests{namespace="a\\"\\\\\\n",operation="Poll"} 2',
        'requests{namespace="b",operation="Poll"} 1.5',
    ]


def test_a_bucket_counts_all_that_is_not_larger_than_its_bound():
    registry = Registry()
    latency = registry.histogram("latency", "operation")
    for seconds in (0.001, 0.0015, 1000.0, 2000.0):
        latency.observe(seconds, ("Poll",))
    lines = text(registry).splitlines()
    assert lines[1:5] == [
        "# TYPE latency histogram",
        'latency_bucket{operation="Poll",le="0.001"} 1',
        'latency_bucket{operation="Poll",le="0.002"} 2',
        'latency_bucket{operation="Poll",le="0.005"} 2',
    ]
    assert lines[-4:] == [
        'latency_bucket{operation="Poll",le="1000"} 3',
        'latency_bucket{operation="Poll",le="+Inf"} 4',
        'latency_sum{operation="Poll"} 3000.0025000000001',
        'latency_count{operation="Poll"} 4',
    ]


def test_metrics_are_in_the_order_of_their_names_and_read_when_the_page_is():
    registry = Registry()
    runs = []
    registry.gauge("runs", lambda: [((), len(runs))])
    registry.gauge("backlog", lambda: [(("q",), 7)], "task_queue")
    runs.append("w")
    assert [line for line in text(registry).splitlines() if line[0] != "#"] == [
        'backlog{task_queue="q"} 7',
        "runs 1",
    ]
