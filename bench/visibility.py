"""Lists and counts over a million executions in PostgreSQL: what does a filter cost, and what do starts cost beside it?

Why it exists: an operator looks for one workflow among all that ever ran. The rows are made up inside the database,
with as many types, queues, statuses and attributes as a real namespace has; then the store is asked as the server
asks it.
"""

import asyncio
import statistics
import time
from dataclasses import dataclass

import asyncpg

from bench.database import Postgres
from perdure.core.visibility.parsing import parse_filter
from perdure.store.open import open_store
from perdure.store.port import Batch, ExecutionRow, JournalRow, VisibilityRow
from perdure.store.postgres import statements
from perdure.store.postgres.store import PostgresStore

NAMESPACE_ID = "bench"
CUSTOM = {"Color": "Keyword01", "Customer": "Keyword02", "Size": "Int01", "Due": "Datetime01"}
CUSTOM |= {"Tags": "KeywordList01"}
DAY_NS = 86_400 * 10**9
BEGAN_NS = 1_767_225_600 * 10**9
PAGE_SIZE = 100
REPEATS_COUNT = 15
STARTS_COUNT = 1500
STARTS_AT_ONCE = 8

#: One of ten is open. Customers are many, colours few, tags are on one of twenty.
_FILL = f"""
INSERT INTO visibility ({statements.VISIBILITY}, attributes)
SELECT '{NAMESPACE_ID}', to_char(number, 'FM00000000') || '-0000-0000-0000-000000000000', 'order-' || number,
    'Type' || number % 7, 'queue-' || number % 3, CASE WHEN number % 10 = 0 THEN 1 ELSE 2 + number % 6 END,
    {BEGAN_NS} + number * 1000000000::bigint, {BEGAN_NS} + number * 1000000000::bigint,
    CASE WHEN number % 10 = 0 THEN 9223372036854775807
        ELSE {BEGAN_NS} + number * 1000000000::bigint + number % 5000 * 1000000000::bigint END,
    11, 2000, 7, ''::bytea, repeat('a', 120)::bytea,
    CASE WHEN number % 50 = 0 THEN 'order-' || number / 50 ELSE '' END,
    CASE WHEN number % 50 = 0 THEN 'parent' ELSE '' END, 'order-' || number, 'root',
    jsonb_build_object('BuildIds', '["unversioned"]'::jsonb)
    || CASE WHEN number % 2 = 0 THEN jsonb_build_object('Keyword01', 'color-' || number % 5,
        'Keyword02', 'customer-' || number % 20011, 'Int01', number % 1000,
        'Datetime01', {BEGAN_NS} + number % 365 * {DAY_NS}::bigint) ELSE '{{}}'::jsonb END
    || CASE WHEN number % 20 = 0 THEN jsonb_build_object('KeywordList01',
        jsonb_build_array('tag-' || number % 300, 'all')) ELSE '{{}}'::jsonb END
FROM generate_series(1, $1::bigint) AS number
"""
LISTED = (
    "",
    "WorkflowId = 'order-500000'",
    "WorkflowId STARTS_WITH 'order-77777'",
    "WorkflowType = 'Type3'",
    "WorkflowType = 'none'",
    "ExecutionStatus = 'Running'",
    "ExecutionStatus = 'Failed'",
    "ExecutionStatus != 'Running'",
    "ExecutionStatus != 'Running' AND CloseTime IS NOT NULL",
    "WorkflowType = 'Type3' AND ExecutionStatus = 'Failed'",
    "TaskQueue = 'queue-1'",
    "StartTime > '2026-01-12T13:00:00Z'",
    "StartTime BETWEEN '2026-01-05T00:00:00Z' AND '2026-01-05T01:00:00Z'",
    "CloseTime BETWEEN '2026-01-05T00:00:00Z' AND '2026-01-05T01:00:00Z'",
    "ParentWorkflowId = 'order-777'",
    "Color = 'color-2'",
    "Customer = 'customer-1234'",
    "Customer STARTS_WITH 'customer-12'",
    "Size = 500",
    "Due = '2026-03-01T00:00:00Z'",
    "Tags = 'tag-20'",
    "Tags = 'all' AND ExecutionStatus = 'Running'",
)
COUNTED = (
    "",
    "ExecutionStatus = 'Running'",
    "ExecutionStatus != 'Running'",
    "GROUP BY ExecutionStatus",
    "ExecutionStatus IN ('Failed', 'TimedOut') GROUP BY ExecutionStatus",
    "Customer = 'customer-1234' GROUP BY ExecutionStatus",
    "StartTime BETWEEN '2026-01-05T00:00:00Z' AND '2026-01-05T01:00:00Z'",
    "WorkflowType = 'Type3'",
    "WorkflowType = 'Type3' GROUP BY ExecutionStatus",
)


@dataclass(frozen=True)
class Asked:
    what: str
    query: str
    milliseconds: float
    found: int
    plan: str


@dataclass(frozen=True)
class Result:
    rows_count: int
    fill_seconds: float
    size_bytes: int
    asked: list[Asked]
    #: Rows there are → milliseconds that a commit of some starts takes, the median.
    start_milliseconds: dict[int, float]


def measure(database: Postgres, rows_count: int) -> Result:
    """Fill two databases, one with a thousandth, and ask the full one everything."""
    return asyncio.run(_measure(database, rows_count))


async def _measure(database: Postgres, rows_count: int) -> Result:
    few = max(rows_count // 1000, 1)
    urls = {few: database.new_database(), rows_count: database.new_database()}
    fill_seconds = 0.0
    for count, url in urls.items():
        fill_seconds = await _fill(url, count)
    starts = await _starts(urls)
    url = urls[rows_count]
    asked = await _ask_everything(url)
    return Result(rows_count, fill_seconds, await _size_bytes(url), asked, starts)


async def _fill(url: str, count: int) -> float:
    began = time.perf_counter()
    connection = await asyncpg.connect(url)
    try:
        # In one go, and the counts with it: the trigger adds up a statement at a time.
        await connection.execute(_FILL.replace("$1::bigint", str(count)), timeout=1800)
        await connection.execute("VACUUM ANALYZE", timeout=1800)
    finally:
        await connection.close()
    return time.perf_counter() - began


async def _size_bytes(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        found: int = await connection.fetchval("SELECT pg_database_size(current_database())")
    finally:
        await connection.close()
    return found


async def _ask_everything(url: str) -> list[Asked]:
    store = PostgresStore(url)
    await store.open()
    connection = await asyncpg.connect(url, server_settings=_planning())
    asked = []
    try:
        for query in LISTED:
            asked.append(await _ask(store, connection, "list", query))
        for query in COUNTED:
            asked.append(await _ask(store, connection, "count", query))
    finally:
        await connection.close()
        await store.close()
    return asked


def _planning() -> dict[str, str]:
    """The settings of the store's sessions, as they are while a filter is carried out."""
    settings = {name: value.strip("'") for name, value in statements.SESSION.items()}
    for part in statements.EXPLORING.split(";"):
        name, _, value = part.strip().removeprefix("SET LOCAL ").partition(" = ")
        settings[name] = value
    return settings


async def _ask(
    store: PostgresStore, connection: asyncpg.Connection, what: str, query: str
) -> Asked:
    filter = parse_filter(query, CUSTOM)
    times = []
    found = 0
    for _ in range(REPEATS_COUNT):
        began = time.perf_counter()
        if what == "list":
            page = await store.list_visibility(
                NAMESPACE_ID, limit=PAGE_SIZE, after=None, filter=filter
            )
            found = len(page)
        elif filter.group_by is None:
            found = await store.count_visibility(NAMESPACE_ID, filter)
        else:
            groups = await store.count_groups(NAMESPACE_ID, filter)
            found = sum(count for _, count in groups)
        times.append((time.perf_counter() - began) * 1000)
    if what == "list":
        sql, arguments = statements.filtered_list(NAMESPACE_ID, filter, PAGE_SIZE, None)
    else:
        sql, arguments = statements.count(NAMESPACE_ID, filter)
    rows = await connection.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {sql}", *arguments)
    plan = "\n".join(row[0] for row in rows)
    return Asked(what, query, statistics.median(times), found, plan)


async def _starts(urls: dict[int, str]) -> dict[int, float]:
    """In turns, for what else the machine does to hit all alike."""
    stores = {count: open_store(url) for count, url in urls.items()}
    times: dict[int, list[float]] = {count: [] for count in urls}
    leases = {}
    for count, store in stores.items():
        await store.open()
        leases[count] = await store.claim("bench", 3600 * 10**9)
    for number in range(STARTS_COUNT):
        for count, store in stores.items():
            batch = _started(number, Batch(leases[count]))
            began = time.perf_counter()
            await store.commit(batch)
            times[count].append((time.perf_counter() - began) * 1000)
    for store in stores.values():
        await store.close()
    return {count: statistics.median(found) for count, found in times.items()}


def _started(number: int, batch: Batch) -> Batch:
    for index in range(STARTS_AT_ONCE):
        name = f"new-{number}-{index}"
        key = (number * STARTS_AT_ONCE + index) * 7919 % 2**32
        begin_ns = BEGAN_NS + 30 * DAY_NS + number * 10**6
        batch.executions.append(
            ExecutionRow(key, NAMESPACE_ID, name, f"run-{name}", 1, 1, 0, b"", 0)
        )
        batch.journal.append(JournalRow(key, f"run-{name}", 1, 1, 2, b"e" * 400, b"i" * 60))
        shown = VisibilityRow(
            NAMESPACE_ID, f"run-{name}", name, "Type1", "queue-1", 1, begin_ns, begin_ns, 0, 0, 0, 0,
            b"", b"", "", "", name, f"run-{name}",
        )  # fmt: skip
        batch.visibility.append(shown)
    return batch


def as_text(result: Result) -> str:
    lines = [
        f"{result.rows_count:,} executions, {result.size_bytes / 1e9:.2f} GB,"
        f" written in {result.fill_seconds:.0f} s.",
        "",
        "| | filter | ms | found |",
        "| --- | --- | --- | --- |",
    ]
    for each in result.asked:
        query = f"`{each.query}`" if each.query else "none"
        lines.append(f"| {each.what} | {query} | {each.milliseconds:.1f} | {each.found:,} |")
    few, many = sorted(result.start_milliseconds)
    slow, fast = result.start_milliseconds[many], result.start_milliseconds[few]
    lines += [
        "",
        f"A commit of {STARTS_AT_ONCE} starts, median of {STARTS_COUNT}: {fast:.2f} ms beside {few:,} executions,"
        f" {slow:.2f} ms beside {many:,}: {slow / fast:.2f} times as long.",
        "",
        "Plans:",
    ]
    for each in result.asked:
        lines += ["", f"    {each.what}: {each.query or 'everything'}"]
        lines += [f"    {line}" for line in each.plan.splitlines()]
    return "\n".join(lines)
