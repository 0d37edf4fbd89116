"""Checks of the task queue that a request names: reserved names, and names of partitions."""

from typing import Any

from temporalio.api.enums.v1 import TaskQueueKind, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue

from perdure.core.errors import invalid_argument
from perdure.core.limits import Limits
from perdure.core.workflow.validation import internal_queue_fault
from perdure.frontend.validation.fields import check_no_nul, is_too_long

#: Temporal: the names of all partitions of a task queue but the first begin like this.
PART_PREFIX = "/_sys/"


def check_task_queue(request: Any, limits: Limits, *, is_part: bool = False) -> None:
    """Check the task queue that a request names. A poll or a description may name one of the server's own queues.

    `is_part`: a description may name a partition.
    """
    if not request.HasField("task_queue"):
        raise invalid_argument("taskQueue is not set")
    name = request.task_queue.name
    if not name:
        raise invalid_argument("missing task queue name")
    if is_too_long(name, limits):
        raise invalid_argument("taskQueue length exceeds limit")
    check_no_nul(name, "TaskQueue")
    if not is_part and name.startswith(PART_PREFIX):
        raise invalid_argument(f"task queue name cannot start with reserved prefix {PART_PREFIX}")


def check_callers_task_queue(request: Any, limits: Limits) -> None:
    """Check a task queue that is to get new tasks: it may not be one of the server's own queues."""
    check_task_queue(request, limits)
    fault = internal_queue_fault(request.task_queue.name)
    if fault is not None:
        raise invalid_argument(fault)


def check_queue_part(queue: TaskQueue, kind: int) -> int:
    """Return the number of the partition that is named; 0 for the whole queue. `kind` is a `TaskQueueType`."""
    base, number = _part_of(queue.name)
    if queue.normal_name and queue.kind != TaskQueueKind.TASK_QUEUE_KIND_STICKY:
        raise invalid_argument(
            f"only sticky queues can have normal name. tq: {base}, normal name: {queue.normal_name}"
        )
    if (
        queue.kind == TaskQueueKind.TASK_QUEUE_KIND_WORKER_COMMANDS
        and kind != TaskQueueType.TASK_QUEUE_TYPE_NEXUS
    ):
        shown = {1: "Workflow", 2: "Activity"}.get(kind, str(kind))
        raise invalid_argument(
            f"worker-commands partitions must have nexus task type, got: {shown}. base name: {base}"
        )
    return number


def check_family_name(name: str) -> None:
    if name.startswith(PART_PREFIX):
        raise invalid_argument(f"task queue family name cannot have prefix {PART_PREFIX} {name}")


def _part_of(name: str) -> tuple[str, int]:
    if not name.startswith(PART_PREFIX):
        return name, 0
    base, _, number = name.removeprefix(PART_PREFIX).rpartition("/")
    if not base or not (number.isascii() and number.isdigit() and int(number)):
        raise invalid_argument(f"invalid task queue partition name {name}")
    check_family_name(base)
    return base, int(number)
