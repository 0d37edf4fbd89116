"""A list or count shows what was done before it was asked for, with a filter and without: at once, on every store."""

import itertools
import json

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import CommandType, IndexedValueType
from temporalio.api.operatorservice.v1 import request_response_pb2 as operator
from temporalio.api.operatorservice.v1.service_pb2_grpc import OperatorServiceStub
from temporalio.api.workflowservice.v1 import request_response_pb2 as api
from temporalio.api.workflowservice.v1.service_pb2_grpc import WorkflowServiceStub

from tests.perdure_server import PerdureServer
from tests.postgres import postgres

__all__ = ["postgres"]
NAMESPACE = "default"
RUNNING, COMPLETED, TERMINATED = 1, 2, 5
COLORS = ("red", "green")
PLACES = range(3)


@pytest.fixture(
    scope="module",
    params=["memory", "sqlite-file", pytest.param("postgresql", marks=pytest.mark.slow)],
)
def channel(request, tmp_path_factory):
    place = tmp_path_factory.mktemp("server")
    url = None
    if request.param == "sqlite-file":
        url = f"sqlite:///{place / 'perdure.db'}"
    elif request.param == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
    server = PerdureServer(place, url)
    server.set_up()
    server.start()
    with grpc.insecure_channel(server.address) as opened:
        keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
        OperatorServiceStub(opened).AddSearchAttributes(
            operator.AddSearchAttributesRequest(
                namespace=NAMESPACE, search_attributes={"Color": keyword, "Plan": keyword}
            )
        )
        yield opened
    assert server.stop() == 0


def keyword(value):
    return Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(value).encode())


class Workflows:
    """Some workflows, each on a queue of its own, and what lists must show of them."""

    def __init__(self, channel, name):
        self.service = WorkflowServiceStub(channel)
        self.name = name
        #: Workflow id → (status, color).
        self.shown = {}

    def id(self, place):
        return f"{self.name}-{place}"

    def execution(self, place):
        return {"workflow_id": self.id(place)}

    def do(self, action, place, color):
        is_open = self.shown.get(self.id(place), (0, ""))[0] == RUNNING
        if action == "start" and self.id(place) not in self.shown:
            request = api.StartWorkflowExecutionRequest(
                namespace=NAMESPACE, workflow_id=self.id(place), request_id=self.id(place)
            )
            request.workflow_type.name = self.name
            request.task_queue.name = self.id(place)
            request.search_attributes.indexed_fields["Plan"].CopyFrom(keyword(self.name))
            request.search_attributes.indexed_fields["Color"].CopyFrom(keyword(color))
            self.service.StartWorkflowExecution(request)
            self.shown[self.id(place)] = RUNNING, color
        elif action == "upsert" and is_open:
            command = self._answer(place)
            command[1].command_type = CommandType.COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES
            attributes = command[1].upsert_workflow_search_attributes_command_attributes
            attributes.search_attributes.indexed_fields["Color"].CopyFrom(keyword(color))
            self.service.RespondWorkflowTaskCompleted(command[0])
            self.shown[self.id(place)] = RUNNING, color
        elif action == "complete" and is_open:
            command = self._answer(place)
            command[1].command_type = CommandType.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION
            command[1].complete_workflow_execution_command_attributes.SetInParent()
            self.service.RespondWorkflowTaskCompleted(command[0])
            self.shown[self.id(place)] = COMPLETED, self.shown[self.id(place)][1]
        elif action == "terminate" and is_open:
            self.service.TerminateWorkflowExecution(
                api.TerminateWorkflowExecutionRequest(
                    namespace=NAMESPACE, workflow_execution=self.execution(place)
                )
            )
            self.shown[self.id(place)] = TERMINATED, self.shown[self.id(place)][1]
        elif action == "delete" and self.id(place) in self.shown and not is_open:
            self.service.DeleteWorkflowExecution(
                api.DeleteWorkflowExecutionRequest(
                    namespace=NAMESPACE, workflow_execution=self.execution(place)
                )
            )
            del self.shown[self.id(place)]

    def _answer(self, place):
        # There is a workflow task only after a start or a signal.
        self.service.SignalWorkflowExecution(
            api.SignalWorkflowExecutionRequest(
                namespace=NAMESPACE, workflow_execution=self.execution(place), signal_name="go"
            )
        )
        poll = api.PollWorkflowTaskQueueRequest(namespace=NAMESPACE)
        poll.task_queue.name = self.id(place)
        task = self.service.PollWorkflowTaskQueue(poll, timeout=30)
        assert task.workflow_execution.workflow_id == self.id(place)
        answer = api.RespondWorkflowTaskCompletedRequest(task_token=task.task_token)
        return answer, answer.commands.add()

    def check(self):
        mine = f"WorkflowType = '{self.name}'"
        statuses = {RUNNING: "Running", COMPLETED: "Completed", TERMINATED: "Terminated"}
        assert self.listed(mine) == sorted((key, status) for key, (status, _) in self.shown.items())
        assert self.listed(f"Plan = '{self.name}' AND Color IS NOT NULL") == self.listed(mine)
        for color in COLORS:
            wanted = sorted((key, at[0]) for key, at in self.shown.items() if at[1] == color)
            assert self.listed(f"{mine} AND Color = '{color}'") == wanted
        for number, status in statuses.items():
            count = sum(at[0] == number for at in self.shown.values())
            assert self.counted(f"{mine} AND ExecutionStatus = '{status}'") == count

    def listed(self, query):
        request = api.ListWorkflowExecutionsRequest(namespace=NAMESPACE, query=query)
        page = self.service.ListWorkflowExecutions(request)
        return sorted((info.execution.workflow_id, info.status) for info in page.executions)

    def counted(self, query):
        request = api.CountWorkflowExecutionsRequest(namespace=NAMESPACE, query=query)
        return self.service.CountWorkflowExecutions(request).count

    def totals(self):
        """Return the kept counts, and those of the rows."""
        kept = self.counted(""), self.counted("ExecutionStatus = 'Running'")
        rows = "WorkflowId != ''"
        return kept, (self.counted(rows), self.counted(f"{rows} AND ExecutionStatus = 'Running'"))


actions = st.sampled_from(("start", "upsert", "complete", "terminate", "delete"))
steps = st.lists(
    st.tuples(actions, st.sampled_from(PLACES), st.sampled_from(COLORS)), min_size=4, max_size=14
)


def test_a_list_shows_what_has_been_done(channel):
    numbers = itertools.count()
    done = set()

    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(steps)
    def lists_are_right(plan):
        workflows = Workflows(channel, f"workflows-{next(numbers)}")
        for place in PLACES:
            workflows.do("start", place, COLORS[0])
        for action, place, color in plan:
            before = dict(workflows.shown)
            workflows.do(action, place, color)
            if workflows.shown != before:
                done.add(action)
            workflows.check()
        kept, counted = workflows.totals()
        assert kept == counted

    lists_are_right()
    assert {"upsert", "complete", "terminate", "delete"} <= done
