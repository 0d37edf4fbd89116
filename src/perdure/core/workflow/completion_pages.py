"""A worker completes a workflow task in several requests, because its commands are too large for one.

The pages before the last one are kept in memory only, with the task that the worker holds: they are gone when the task
ends, and after a crash. The worker learns of that, and sends all of them again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.api.errordetails.v1 import WorkflowTaskCompletionBufferLostFailure

from perdure.core.errors import Code, Rejected, invalid_argument
from perdure.core.workflow.history_step import BadCommand, HistoryStep
from perdure.core.workflow.started_task import Pages

#: Temporal: of one completion.
PAGES_MAX = 1024


@dataclass(frozen=True, slots=True)
class Page:
    """Which page of a completion a request is."""

    number: int
    is_last: bool
    #: How many bytes all pages of all tasks may still grow by; None: as many as they like.
    room: int | None = None


@dataclass(frozen=True, slots=True)
class PageKept:
    """Reply: the rest may come. `pages` lives for as long as the worker holds the task."""

    pages: Pages


def keep(step: HistoryStep, page: Page, commands: Sequence[Command]) -> PageKept:
    """Keep one that is not the last. Raises `Rejected`, or `BadCommand` if it is too much for one task."""
    started = step.in_flight.started
    assert started is not None
    try:
        _check_number(page)
        if not commands:
            raise invalid_argument(
                "intermediate workflow task page must carry at least one command"
            )
    except Rejected:
        started.pages = None
        raise
    pages = started.pages = started.pages or Pages()
    if page.number in pages.commands:
        return PageKept(pages)  # It was sent again.
    size = sum(command.ByteSize() for command in commands)
    if 0 < step.environment.limits.workflow_task_completion_size < pages.size + size:
        started.pages = None
        raise BadCommand(
            WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_REQUEST_TOO_LARGE,
            "workflow task completion buffer size exceeds the per-workflow limit",
            is_final=True,
        )
    if page.room is not None and size > page.room:
        started.pages = None
        raise _lost(f"memory limit reached while buffering page {page.number}")
    pages.commands[page.number] = tuple(commands)
    pages.size += size
    return PageKept(pages)


def together(step: HistoryStep, page: Page, commands: Sequence[Command]) -> tuple[Command, ...]:
    """Return the commands of all pages, of which this is the last. Raises `Rejected`."""
    task, started = step.run.pending_task, step.in_flight.started
    assert task is not None
    assert started is not None
    _check_number(page)
    pages, started.pages = started.pages, None
    if pages is None:
        raise _lost(f"lost for scheduled event {task.scheduled_event_id} attempt {task.attempt}")
    merged: list[Command] = []
    for number in range(page.number):
        if number not in pages.commands:
            raise _lost(f"missing page {number} of {page.number}")
        merged += pages.commands[number]
    return (*merged, *commands)


def _check_number(page: Page) -> None:
    if page.number < 0:
        raise invalid_argument(
            "workflow task completion pagination page number must be non-negative"
        )
    if page.number >= PAGES_MAX:
        raise invalid_argument(
            f"workflow task completion pagination supports at most {PAGES_MAX} pages"
        )


def _lost(what: str) -> Rejected:
    return Rejected(
        Code.ABORTED,
        f"workflow task completion buffer {what}",
        WorkflowTaskCompletionBufferLostFailure(),
    )
