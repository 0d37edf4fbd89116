"""What the name of a task queue says: of which kind it is, and whether it means a part of one."""

from temporalio.api.enums.v1 import TaskQueueKind, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue

from perdure.core.errors import invalid_argument

#: Temporal: the parts of a task queue but the first are called so.
PART_PREFIX = "/_sys/"


def check_queue_part(queue: TaskQueue, kind: int) -> int:
    """Return which part of a task queue is named; 0 for all of it. `kind` is a `TaskQueueType`."""
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
