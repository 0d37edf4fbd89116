"""A database with a million executions, as the server would have left it: for measurements, within minutes.

Why it exists: to run a million workflows takes hours. The rows of lists are made by the server's own function from
states of runs, a few thousand of which stand for all: each row is one of them with its own ids and times. They go in
by COPY, into the tables as they are, indexes, triggers and all.

The mix is uneven, as in a real namespace: half of the runs are of one type, one in a thousand is of the rarest, a
few customers have most orders, one run of twenty is open.
"""

import json
import time
import uuid
from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Any, NamedTuple, TypeVar

import asyncpg
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import WorkflowExecutionStatus as Status

from bench.lab import progress
from bench.retention import NAMESPACE, closed_run
from perdure.core.execution.environment import Environment
from perdure.core.limits import Limits
from perdure.core.workflow.state import Parent, RunState
from perdure.core.workflow.visibility_fields import visibility
from perdure.runtime.clock import SystemClock
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.namespaces import DAY_NS, Namespace, aliases
from perdure.runtime.node import Node
from perdure.runtime.visibility import visibility_row
from perdure.store.open import open_store
from perdure.store.port import NEVER_NS, ExecutionRow, JournalRow, VisibilityRow

PATTERNS_COUNT = 20_000
CUSTOMERS_COUNT = 5_000
COPIED_AT_ONCE = 50_000
SPAN_DAYS = 30
_SECOND_NS = 10**9

ATTRIBUTES = {
    "Color": "Keyword",
    "Customer": "Keyword",
    "Size": "Int",
    "Amount": "Double",
    "Due": "Datetime",
    "Urgent": "Bool",
    "Tags": "KeywordList",
    "Note": "Text",
}
FIELDS = {name: field for field, name in aliases(ATTRIBUTES).items()}
#: Value → weight.
TYPES = {"Order": 500, "Payment": 250, "Shipment": 150, "Refund": 60, "Import": 39, "Audit": 1}
QUEUES = {"orders": 700, "payments": 250, "batch": 49, "rare": 1}
STATUSES: dict[Status.ValueType, int] = {
    Status.WORKFLOW_EXECUTION_STATUS_RUNNING: 50,
    Status.WORKFLOW_EXECUTION_STATUS_COMPLETED: 870,
    Status.WORKFLOW_EXECUTION_STATUS_FAILED: 40,
    Status.WORKFLOW_EXECUTION_STATUS_CANCELED: 20,
    Status.WORKFLOW_EXECUTION_STATUS_TERMINATED: 10,
    Status.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW: 9,
    Status.WORKFLOW_EXECUTION_STATUS_TIMED_OUT: 1,
}
COLORS = {"blue": 800, "green": 150, "red": 49, "gold": 1}
TAGS = {"normal": 900, "new": 90, "lost": 9, "odd": 1}
WORDS = ("call", "before", "noon", "gift", "fragile", "leave", "at", "door", "second", "floor")

ValueT = TypeVar("ValueT")
_ENVIRONMENT = Environment(Limits(), lambda: "")


class Filled(NamedTuple):
    """The rows that were written into a database."""

    namespace_id: str
    seconds: float
    #: When the fill began: no run starts later.
    now_ns: int


class _Templates(NamedTuple):
    """The rows that others are copied from."""

    node: Node
    now_ns: int
    patterns: list[VisibilityRow]
    execution: ExecutionRow
    journal: JournalRow


async def fill(url: str, count: int) -> Filled:
    """Write `count` executions into a database with empty tables, and let it look at what there is."""
    began, now_ns = time.perf_counter(), time.time_ns()
    store = open_store(url)
    await store.open()
    node = Node(store, SystemClock(), ConfiguredLimits(), owner="filler")
    await node.start()
    namespace = await node.namespaces.register(
        Namespace(
            id="",
            name=NAMESPACE,
            retention_ns=10 * SPAN_DAYS * DAY_NS,
            search_attribute_aliases=aliases(ATTRIBUTES),
        )
    )
    pattern = await closed_run(namespace.id)
    (execution,) = pattern.rows()
    journal = next(iter(pattern.journal(execution.run_id)))
    templates = _Templates(node, now_ns, _patterns(namespace, now_ns), execution, journal)
    connection = await asyncpg.connect(url)
    try:
        rows = _rows(templates, count)
        while some := list(islice(rows, COPIED_AT_ONCE)):
            await _copy(connection, templates, some)
            progress(f"{count} executions: {some[-1].workflow_id} written")
        await connection.execute("VACUUM ANALYZE", timeout=600)
        # The database writes now what the fill has left, and not during a measurement.
        await connection.execute("CHECKPOINT", timeout=600)
    finally:
        await connection.close()
        await node.stop()
        await store.close()
    return Filled(namespace.id, time.perf_counter() - began, now_ns)


async def _copy(connection: Any, templates: _Templates, shown: list[VisibilityRow]) -> None:
    """Write rows as the database keeps them: what is open closes at `NEVER_NS`, and no attributes are NULL."""
    keys = [
        templates.node.executions.key(row.namespace_id, row.workflow_id, row.run_id)
        for row in shown
    ]
    executions = [
        templates.execution._replace(
            shard_key=key.shard_key,
            business_id=key.business_id,
            run_id=key.run_id,
            status=row.status,
            due_at_ns=NEVER_NS,
        )
        for key, row in zip(keys, shown, strict=True)
    ]
    journal = [
        templates.journal._replace(shard_key=key.shard_key, run_id=key.run_id) for key in keys
    ]
    listed = [(*row[:-1], row.attributes or None) for row in shown]
    for table, rows, columns in (
        ("executions", executions, ExecutionRow._fields),
        ("journal", journal, JournalRow._fields),
        ("visibility", listed, VisibilityRow._fields),
    ):
        await connection.copy_records_to_table(table, records=rows, columns=columns, timeout=600)


def _rows(templates: _Templates, count: int) -> Iterator[VisibilityRow]:
    random = Random(2)
    for number in range(count):
        pattern = random.choice(templates.patterns)
        # The older it is, the longer it may have taken.
        age_ns = int(SPAN_DAYS * DAY_NS * (1 - number / count))
        duration_ns = min(int(random.lognormvariate(3, 2) * _SECOND_NS), age_ns)
        began_ns = templates.now_ns - age_ns
        run_id = str(uuid.UUID(int=random.getrandbits(128), version=4))
        workflow_id = f"order-{number:07}"
        is_child = pattern.parent_workflow_id != ""
        parent = random.randrange(max(number // 10, 1)) * 10
        yield pattern._replace(
            run_id=run_id,
            workflow_id=workflow_id,
            start_time_ns=began_ns,
            execution_time_ns=began_ns,
            close_time_ns=began_ns + duration_ns if pattern.close_time_ns else NEVER_NS,
            parent_workflow_id=f"order-{parent:07}" if is_child else "",
            root_workflow_id=f"order-{parent:07}" if is_child else workflow_id,
            root_run_id=pattern.root_run_id if is_child else run_id,
        )


def _patterns(namespace: Namespace, now_ns: int) -> list[VisibilityRow]:
    random, custom = Random(1), namespace.custom_attributes()
    return [
        visibility_row(
            0,
            visibility(_state(random, namespace.id, now_ns, number), _ENVIRONMENT),
            lambda _: custom,
        )
        for number in range(PATTERNS_COUNT)
    ]


def _state(random: Random, namespace_id: str, now_ns: int, number: int) -> RunState:
    status = _pick(random, STATUSES)
    is_open = status == Status.WORKFLOW_EXECUTION_STATUS_RUNNING
    events_count = random.choice((5, 11, 11, 17, 23, 101))
    state = RunState(
        namespace_id=namespace_id,
        workflow_id="pattern",
        run_id="pattern",
        root_workflow_id="pattern",
        root_run_id=str(uuid.UUID(int=random.getrandbits(128), version=4)),
        workflow_type=_pick(random, TYPES),
        task_queue=_pick(random, QUEUES),
        status=status,
        start_time_ns=now_ns,
        execution_time_ns=now_ns,
        close_time_ns=0 if is_open else now_ns,
        next_event_id=events_count + 1,
        history_size_bytes=events_count * 190,
        transition_count=events_count // 2 + 1,
        # A worker has seen it: that gives it BuildIds.
        previous_started_event_id=3,
        search_attributes={
            name: _payload(kind, value)
            for name, (kind, value) in _attributes(random, now_ns, number).items()
        },
    )
    if random.random() < 0.1:
        state.parent = Parent("pattern", state.root_run_id, 5)
    return state


def _attributes(random: Random, now_ns: int, number: int) -> dict[str, tuple[str, Any]]:
    """Six of ten runs have some of their own; what each has varies."""
    found: dict[str, tuple[str, Any]] = {}
    if random.random() < 0.3:
        versions = ["pricing-2"] if random.random() < 0.98 else ["pricing-1", "tax-7"]
        found["TemporalChangeVersion"] = ("KeywordList", versions)
    if random.random() < 0.05:
        schedule = f"schedule-{int(100 * random.random() ** 2)}"
        found["TemporalScheduledById"] = ("Keyword", schedule)
    if random.random() < 0.6:
        due_days = random.randrange(-SPAN_DAYS, SPAN_DAYS)
        due = time.strftime(
            "%Y-%m-%dT00:00:00Z", time.gmtime(now_ns // _SECOND_NS + due_days * 86_400)
        )
        values = {
            "Color": _pick(random, COLORS),
            "Customer": f"customer-{int(CUSTOMERS_COUNT * random.random() ** 2):04}",
            "Size": int(random.lognormvariate(4, 1.5)),
            "Amount": round(random.lognormvariate(3, 1.2), 2),
            "Due": due,
            "Urgent": random.random() < 0.02,
            "Tags": sorted({_pick(random, TAGS), f"tag-{number % 500}"}),
            "Note": " ".join(random.sample(WORDS, 4)) + f" {number}",
        }
        found |= {
            name: (ATTRIBUTES[name], value)
            for name, value in values.items()
            if random.random() < 0.8
        }
    return found


def _payload(kind: str, value: Any) -> bytes:
    payload = Payload(
        metadata={"encoding": b"json/plain", "type": kind.encode()},
        data=json.dumps(value, separators=(",", ":")).encode(),
    )
    return payload.SerializeToString()


def _pick(random: Random, weights: dict[ValueT, int]) -> ValueT:
    (found,) = random.choices(list(weights), list(weights.values()))
    return found
