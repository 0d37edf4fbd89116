"""Returns started tasks to their executions if the answer that brings them reaches no worker."""

from collections.abc import Callable
from functools import partial

from perdure.core.execution.key import ExecutionKey
from perdure.core.workflow.returning import Return
from perdure.runtime.executions import Executions

#: A call makes these if its answer is lost, each once. A call that starts a task adds to them before it can be lost.
TaskReturns = list[Callable[[], object]]


def task_returns(executions: Executions, key: ExecutionKey, *requests: Return) -> TaskReturns:
    """Return the calls that undo the starts which `requests` name."""
    return [partial(executions.tell, key, request) for request in requests]
