"""Finds the deliverer of an effect: one look-up by the effect's type, built from a table for each family of effects.

Tasks for queues and requests to other executions may leave this node one day; calls to the outside and answers to
waiting callers never do. A new effect is one more line in the table of its family.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from perdure.core.execution.key import ExecutionKey
from perdure.core.execution.outcome import Effect
from perdure.core.workflow.effects import (
    OUTBOUND_CALLS,
    OUTGOING_REQUESTS,
    AnswerQuery,
    AnswerUpdate,
    DispatchActivityTask,
    DispatchQuery,
    DispatchWorkflowTask,
)
from perdure.runtime.delivery.outbound import OutboundCalls
from perdure.runtime.delivery.queries import Queries
from perdure.runtime.delivery.requests import OutgoingRequests
from perdure.runtime.delivery.updates import Updates
from perdure.runtime.matching.task_queues import TaskQueues

#: Begins to carry out an effect of the execution with this key. It does not wait.
Deliverer = Callable[[ExecutionKey, Any], None]
Table = Mapping[type[Effect], Deliverer]


class Families(NamedTuple):
    """The deliverers of each family, by the type of the effect."""

    queue_tasks: Table
    outgoing_requests: Table
    outbound_calls: Table
    caller_answers: Table

    def by_type(self) -> Table:
        """Return the deliverers of all families in one table."""
        deliverers = {kind: deliverer for table in self for kind, deliverer in table.items()}
        assert len(deliverers) == sum(map(len, self)), "an effect is of two families"
        return deliverers


def families(
    task_queues: TaskQueues,
    outgoing_requests: OutgoingRequests,
    outbound_calls: OutboundCalls,
    queries: Queries,
    updates: Updates,
) -> Families:
    """Return the tables of one node."""
    return Families(
        queue_tasks={
            DispatchWorkflowTask: task_queues.add_workflow_task,
            DispatchActivityTask: task_queues.add_activity_task,
            DispatchQuery: queries.dispatch,
        },
        outgoing_requests=dict.fromkeys(OUTGOING_REQUESTS, outgoing_requests.deliver),
        outbound_calls=dict.fromkeys(OUTBOUND_CALLS, outbound_calls.deliver),
        caller_answers={AnswerQuery: queries.answered, AnswerUpdate: updates.notify},
    )
