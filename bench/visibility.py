"""Lists and counts among a million executions in PostgreSQL: what does a filter cost? Are starts slower beside them?

Why it exists: an operator looks for one workflow among all that ever ran. A filled database (`many_executions`) gets a
perdure, which is asked over gRPC like any server. Beside the time stands how many pages of 8 kB PostgreSQL looks at:
on a busy machine that says more. Its plans (`--plans`) are those of the statements that the store sends.
"""

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
import msgspec
from temporalio.api.common.v1 import WorkflowType
from temporalio.api.enums.v1 import WorkflowExecutionStatus as Status
from temporalio.api.filter.v1 import StatusFilter, WorkflowTypeFilter
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as api
from temporalio.service import ConnectConfig, ServiceClient

from bench.lab import Lab, client_lines, give, progress, run_client
from bench.many_executions import FIELDS, Filled, fill
from bench.report import figure, table
from bench.retention import NAMESPACE
from bench.servers import Kind, running
from perdure.core.visibility.filters import EVERYTHING
from perdure.core.visibility.parsing import parse_filter
from perdure.store.port import UNBOUNDED
from perdure.store.postgres import statements

PAGE_SIZE = 100
WARM_UPS_COUNT = 2
REPEATS_COUNT = 20
STARTERS_COUNT = 16
START_ROUNDS_COUNT = 60
START_SECONDS = 1.0
_DAY_NS = 86_400 * 10**9

INDEXED, COMBINED, FIELDS_OF_REQUEST = "list", "list, combined", "list by the request's fields"
COUNT, NOT_INDEXED = "count", "not indexed"
COUNT_BY_ROWS = f"{COUNT}, row by row"


#: `{1.5}` is the time one and a half days before the fill began.
_INDEXED = (
    "",
    "WorkflowId = 'order-0000500'",
    "WorkflowId STARTS_WITH 'order-00000'",
    "WorkflowType = 'Order'",
    "WorkflowType = 'Audit'",
    "WorkflowType = 'none'",
    "ExecutionStatus = 'Running'",
    "ExecutionStatus = 'Completed'",
    "ExecutionStatus = 'TimedOut'",
    "ExecutionStatus IN ('Failed', 'TimedOut')",
    "ExecutionStatus != 'Running'",
    "TaskQueue = 'orders'",
    "TaskQueue = 'rare'",
    "StartTime > {29}",
    "StartTime > {0.1}",
    "StartTime BETWEEN {15} AND {14.9}",
    "CloseTime > {1}",
    "CloseTime BETWEEN {15} AND {14.9}",
    "ParentWorkflowId = 'order-0000010'",
    "TemporalScheduledById = 'schedule-0'",
    "TemporalScheduledById = 'schedule-77'",
    "TemporalChangeVersion = 'pricing-2'",
    "TemporalChangeVersion = 'tax-7'",
    "Color = 'blue'",
    "Color = 'gold'",
    "Customer = 'customer-0000'",
    "Customer = 'customer-0500'",
    "Customer STARTS_WITH 'customer-15'",
    "Size = 50",
    "Size > 5000",
    "Amount = 20.5",
    "Amount > 500.0",
    "Due > {-28}",
    "Tags = 'normal'",
    "Tags = 'odd'",
    "Tags = 'tag-77'",
)
_COMBINED = (
    "WorkflowType = 'Order' AND ExecutionStatus = 'Running'",
    "WorkflowType = 'Order' AND ExecutionStatus = 'Failed'",
    "WorkflowType = 'Audit' AND ExecutionStatus = 'Failed'",
    "ExecutionStatus = 'Failed' AND StartTime > {1}",
    "Customer = 'customer-0000' AND ExecutionStatus = 'Running'",
    "Tags = 'new' AND ExecutionStatus = 'Running'",
)
_COUNTED = (
    "",
    "ExecutionStatus = 'Running'",
    "ExecutionStatus != 'Running'",
    "GROUP BY ExecutionStatus",
    "ExecutionStatus IN ('Failed', 'TimedOut') GROUP BY ExecutionStatus",
    "WorkflowType = 'Audit'",
    "WorkflowType = 'Audit' GROUP BY ExecutionStatus",
    "Customer = 'customer-0500' GROUP BY ExecutionStatus",
    "StartTime > {0.1}",
)
_SLOW = (
    "Urgent = true",
    "Note = 'fragile'",
    "Note = '19999'",
    "BuildIds = 'unversioned'",
    "HistoryLength > 100",
    "ExecutionDuration > '24h'",
)
_COUNTED_BY_ROWS = ("WorkflowType = 'Order'", "WorkflowType = 'Order' GROUP BY ExecutionStatus")
_BY_FIELDS: dict[str, Any] = {
    "open, of one type": api.ListOpenWorkflowExecutionsRequest(
        type_filter=WorkflowTypeFilter(name="Order")
    ),
    "closed": api.ListClosedWorkflowExecutionsRequest(),
    "closed, timed out": api.ListClosedWorkflowExecutionsRequest(
        status_filter=StatusFilter(status=Status.WORKFLOW_EXECUTION_STATUS_TIMED_OUT)
    ),
}


class Question(msgspec.Struct, frozen=True):
    """One list or count. `query` is the filter, for two kinds of call only its name."""

    part: str
    query: str
    #: The page that is asked for: the first or the second.
    page: int = 1


class Answer(msgspec.Struct, frozen=True):
    """The median time of some calls, and how many runs they listed or counted."""

    question: Question
    milliseconds: float
    found: int


class Windows(msgspec.Struct, frozen=True):
    """Starts a second of two servers, a pair a round."""

    few: list[float]
    many: list[float]


class Order(msgspec.Struct, frozen=True):
    """The questions for a client process, and the server. `few_target`: the server whose starts are compared."""

    target: str
    few_target: str
    questions: list[Question]


class Planned(msgspec.Struct, frozen=True):
    """The plan of PostgreSQL for a question."""

    pages: int
    plan: str


class Result(msgspec.Struct, frozen=True):
    rows_count: int
    few_count: int
    fill_seconds: float
    size_bytes: int
    answers: list[Answer]
    #: None: no one statement.
    plans: list[Planned | None]
    starts: Windows


def questions(now_ns: int) -> list[Question]:
    """Everything that is asked, where the fill began at `now_ns`."""

    def moment(found: re.Match[str]) -> str:
        at_ns = now_ns - int(float(found[1]) * _DAY_NS)
        return time.strftime("'%Y-%m-%dT%H:%M:%SZ'", time.gmtime(at_ns // 10**9))

    asked = [
        *(Question(INDEXED, query) for query in _INDEXED),
        Question(INDEXED, "", page=2),
        Question(INDEXED, "WorkflowType = 'Order'", page=2),
        *(Question(COMBINED, query) for query in _COMBINED),
        *(Question(FIELDS_OF_REQUEST, name) for name in _BY_FIELDS),
        *(Question(COUNT, query) for query in _COUNTED),
        *(Question(NOT_INDEXED, query) for query in _SLOW),
        *(Question(COUNT_BY_ROWS, query) for query in _COUNTED_BY_ROWS),
    ]
    return [
        msgspec.structs.replace(each, query=re.sub(r"\{(.*?)\}", moment, each.query))
        for each in asked
    ]


# The client process


async def carry_out(order: Order) -> None:
    """Ask everything, then start workflows in turns on both servers."""
    service, few = await _connect(order.target), await _connect(order.few_target)
    for question in order.questions:
        give(await _answer(service, question))
    windows = Windows([], [])
    few_turn, many_turn = (few, windows.few), (service, windows.many)
    for number in range(START_ROUNDS_COUNT):
        # Each goes first in half of the rounds: a window also pays for what the one before it left behind.
        for server, rates in (many_turn, few_turn) if number % 2 else (few_turn, many_turn):
            rates.append(await _starts_per_second(server))
    give(windows)


async def _connect(target: str) -> Any:
    client = await ServiceClient.connect(ConnectConfig(target_host=target))
    return client.workflow_service


async def _answer(service: Any, question: Question) -> Answer:
    ask = await _asking(service, question)
    times, found = [], 0
    for _ in range(WARM_UPS_COUNT + REPEATS_COUNT):
        began = time.perf_counter()
        found = await ask()
        times.append((time.perf_counter() - began) * 1000)
    return Answer(question, median(times[WARM_UPS_COUNT:]), found)


async def _asking(service: Any, question: Question) -> Callable[[], Awaitable[int]]:
    """How to ask once; it returns what was found."""
    if question.part.startswith(COUNT):
        count = api.CountWorkflowExecutionsRequest(namespace=NAMESPACE, query=question.query)

        async def ask() -> int:
            return int((await service.count_workflow_executions(count)).count)

        return ask
    if question.part == FIELDS_OF_REQUEST:
        request, call = _BY_FIELDS[question.query], service.list_open_workflow_executions
        if isinstance(request, api.ListClosedWorkflowExecutionsRequest):
            call = service.list_closed_workflow_executions
        request.namespace, request.maximum_page_size = NAMESPACE, PAGE_SIZE
    else:
        call = service.list_workflow_executions
        request = api.ListWorkflowExecutionsRequest(
            namespace=NAMESPACE, query=question.query, page_size=PAGE_SIZE
        )
        if question.page == 2:
            request.next_page_token = (await call(request)).next_page_token

    async def ask_list() -> int:
        return len((await call(request)).executions)

    return ask_list


async def _starts_per_second(service: Any) -> float:
    count = 0

    async def start() -> None:
        nonlocal count
        while True:
            await service.start_workflow_execution(
                api.StartWorkflowExecutionRequest(
                    namespace=NAMESPACE,
                    workflow_id=str(uuid.uuid4()),
                    workflow_type=WorkflowType(name="Order"),
                    task_queue=TaskQueue(name="orders"),
                    request_id=str(uuid.uuid4()),
                    identity="bench",
                )
            )
            count += 1

    starters = [asyncio.create_task(start()) for _ in range(STARTERS_COUNT)]
    began = time.perf_counter()
    await asyncio.sleep(START_SECONDS)
    started, seconds = count, time.perf_counter() - began
    for starter in starters:
        starter.cancel()
    await asyncio.gather(*starters, return_exceptions=True)
    return started / seconds


# The measurement


def measure(lab: Lab, rows_count: int) -> Result:
    """Fill two databases, one with a thousandth, and ask the full one everything."""
    assert lab.database is not None
    few_count = max(rows_count // 1000, 1)
    few = lab.launch(Kind.PERDURE_POSTGRES, "few")
    many = lab.launch(Kind.PERDURE_POSTGRES, "many")
    asyncio.run(fill(few.database_url, few_count))
    filled = asyncio.run(fill(many.database_url, rows_count))
    size_bytes = lab.database.size_bytes(many.database_url)
    asked = questions(filled.now_ns)
    plans = asyncio.run(explain(many.database_url, filled, asked))
    with ExitStack() as servers:
        few_server = servers.enter_context(running(few))
        server = servers.enter_context(running(many))
        progress("asking")
        order = Order(server.target, few_server.target, asked)
        *lines, last = client_lines("bench.visibility", order, lab.cores.client)
    answers = [msgspec.json.decode(line, type=Answer) for line in lines]
    windows = msgspec.json.decode(last, type=Windows)
    return Result(rows_count, few_count, filled.seconds, size_bytes, answers, plans, windows)


async def explain(url: str, filled: Filled, asked: Sequence[Question]) -> list[Planned | None]:
    """Let PostgreSQL tell what it does for each question, by the settings that the store gives it."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statements.OPENING)
        return [await _explain(connection, filled.namespace_id, question) for question in asked]
    finally:
        await connection.close()


async def _explain(connection: Any, namespace_id: str, question: Question) -> Planned | None:
    if question.part == FIELDS_OF_REQUEST or question.page != 1:
        return None
    filter = parse_filter(question.query, FIELDS)
    arguments: list[Any]
    if question.part.startswith(COUNT):
        sql, arguments = statements.count(namespace_id, filter)
    elif filter == EVERYTHING:
        sql, arguments = statements.LIST, [namespace_id, PAGE_SIZE, UNBOUNDED]
    else:
        sql, arguments = statements.filtered_list(namespace_id, filter, PAGE_SIZE, None, UNBOUNDED)
    async with connection.transaction():
        if filter != EVERYTHING:
            await connection.execute(statements.EXPLORING)
        sql = f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) {sql}"
        rows = [row[0] for row in await connection.fetch(sql, *arguments, timeout=60)]
    # The pages that it read to make the plan do not count.
    plan = "\n".join(rows[: rows.index("Planning:")] if "Planning:" in rows else rows)
    plan = plan.replace(namespace_id, "…")
    buffers = re.search(r"Buffers: shared (.*)", plan)
    pages = re.findall(r"(?:hit|read)=(\d+)", buffers.group(1)) if buffers else []
    return Planned(sum(int(number) for number in pages), plan)


# The report


def as_text(result: Result) -> str:
    """Two tables."""
    rows = []
    for answer, plan in zip(result.answers, result.plans, strict=True):
        question = answer.question
        name = f"`{question.query}`" if question.query else "no filter"
        name = question.query if question.part == FIELDS_OF_REQUEST else name
        rows.append(
            (
                question.part,
                name + (", second page" if question.page == 2 else ""),
                f"{answer.milliseconds:.1f}",
                f"{answer.found:,}",
                f"{plan.pages:,}" if plan else "",
            )
        )
    few, many = result.starts.few, result.starts.many
    ratios = [ours / theirs for theirs, ours in zip(few, many, strict=True)]
    return "\n\n".join(
        (
            f"{result.rows_count:,} executions, {result.size_bytes / 1e9:.1f} GB,"
            f" written in {result.fill_seconds:.0f} s. Medians of {REPEATS_COUNT} calls.",
            table(("", "filter", "ms", "runs", "pages looked at"), rows),
            table(
                (
                    "",
                    f"starts/s beside {result.few_count:,}",
                    f"beside {result.rows_count:,}",
                    "ratio",
                    "quarters of the rounds",
                ),
                [
                    (
                        f"median of {len(few)} rounds",
                        figure(median(few)),
                        figure(median(many)),
                        f"{median(ratios):.2f}",
                        f"{_quarter(ratios, 1):.2f} to {_quarter(ratios, 3):.2f}",
                    )
                ],
            ),
        )
    )


def _quarter(values: Sequence[float], number: int) -> float:
    return sorted(values)[len(values) * number // 4]


def write_plans(result: Result, path: Path) -> None:
    """Keep the plans as a page of the documentation."""
    sections = [
        "# Plans of list filters",
        f"The plan of PostgreSQL for each filter of the benchmark, among {result.rows_count:,} executions. Generated by"
        f" `python -m bench visibility --plans`; see [benchmarks](benchmarks.md#a-million-workflow-executions) for the"
        f" times, and [visibility](visibility.md#indexed-filters) for the indexes.",
    ]
    for answer, plan in zip(result.answers, result.plans, strict=True):
        if plan is not None:
            question = answer.question
            query = f"`{question.query}`" if question.query else "no filter"
            sections.append(f"## {question.part}: {query}\n\n```text\n{plan.plan}\n```")
    path.write_text("\n\n".join(sections) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_client(Order, carry_out)
