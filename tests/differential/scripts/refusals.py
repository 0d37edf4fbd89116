"""Requests that are wrong: which of several faults is told, in which words, with which detail."""

from typing import Any

from google.protobuf.message import Message
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.differential.registry import add, script
from tests.differential.wire import Refusal
from tests.differential.world import World

_LONG = "x" * 1001
_UNKNOWN_RUN = "6d1f5a2e-0000-4000-8000-000000000000"
_BIG = {"payloads": [{"data": "YWFh" * 730_000}]}
_TOO_MANY_LINKS = [{"workflow_event": {"workflow_id": "a", "namespace": "n", "run_id": "r"}}] * 11

_START_FAULTS: dict[str, dict[str, Any]] = {
    "no workflow id": {"workflow_id": ""},
    "long workflow id": {"workflow_id": _LONG},
    "long workflow id in bytes": {"workflow_id": "é" * 501},
    "no workflow id, no type": {"workflow_id": "", "workflow_type": {}},
    "retry policy before start delay": {
        "retry_policy": {"maximum_attempts": -1},
        "workflow_start_delay": "-1s",
    },
    "retry: initial interval": {"retry_policy": {"initial_interval": "-1s"}},
    "retry: maximum interval": {"retry_policy": {"maximum_interval": "-1s"}},
    "retry: coefficient": {"retry_policy": {"backoff_coefficient": 0.5}},
    "retry: maximum below initial": {
        "retry_policy": {"initial_interval": "5s", "maximum_interval": "2s"}
    },
    "retry: timeout type": {"retry_policy": {"non_retryable_error_types": ["TemporalTimeout:X"]}},
    "start delay": {"workflow_start_delay": "-1s"},
    "cron with start delay": {"workflow_start_delay": "1s", "cron_schedule": "* * * * *"},
    "cron": {"cron_schedule": "abc"},
    "no type": {"workflow_type": {}},
    "long type": {"workflow_type": {"name": _LONG}},
    "empty task queue": {"task_queue": {"name": ""}},
    "long task queue": {"task_queue": {"name": _LONG}},
    "reserved task queue": {"task_queue": {"name": "/_sys/x"}},
    "internal task queue": {"task_queue": {"name": "temporal-sys-per-ns-tq"}},
    "execution timeout": {"workflow_execution_timeout": "-1s"},
    "run timeout": {"workflow_run_timeout": "-1s"},
    "task timeout": {"workflow_task_timeout": "-0.5s"},
    "long request id": {"request_id": _LONG},
    "terminate if running with a conflict policy": {
        "workflow_id_reuse_policy": 4,
        "workflow_id_conflict_policy": 1,
    },
    "reject duplicate with terminate existing": {
        "workflow_id_reuse_policy": 3,
        "workflow_id_conflict_policy": 3,
    },
    "callbacks without request id": {"on_conflict_options": {"attach_completion_callbacks": True}},
    "unknown search attribute": {"search_attributes": {"indexed_fields": {"Nope": {}}}},
    "system search attribute": {"search_attributes": {"indexed_fields": {"RunId": {}}}},
    "priority key": {"priority": {"priority_key": -1}},
    "fairness key": {"priority": {"fairness_key": "x" * 65}},
    "fairness weight": {"priority": {"fairness_weight": -1}},
    "empty link": {"links": [{}]},
    "link without workflow id": {"links": [{"workflow_event": {"namespace": "n"}}]},
    "too many links": {"links": _TOO_MANY_LINKS},
    "time skipping": {"time_skipping_config": {"enabled": True}},
    "big input": {"input": _BIG},
    "big memo": {"memo": {"fields": {"a": _BIG["payloads"][0]}}},
}


@script
async def refused_starts(world: World) -> None:
    for label, fault in _START_FAULTS.items():
        request = world.workflow().start_request()
        for field in fault:
            request.ClearField(field)  # type: ignore[arg-type]
        await world.attempt(request, label, **fault)
    world.workflows.clear()


@script
async def accepted_starts(world: World) -> None:
    odd: dict[str, dict[str, Any]] = {
        "single-attempt": {"retry_policy": {"maximum_attempts": 1, "backoff_coefficient": -1}},
        "blank-queue": {"task_queue": {"name": " "}},
        "sticky-queue": {"task_queue": {"name": "x", "kind": "TASK_QUEUE_KIND_STICKY"}},
        "run-over-execution": {
            "workflow_run_timeout": "100s",
            "workflow_execution_timeout": "10s",
        },
        "long-task-timeout": {"workflow_task_timeout": "500s"},
        "centuries": {"workflow_execution_timeout": f"{86400 * 365 * 800}s"},
        "no-delay": {"workflow_start_delay": "0s"},
        "long-identity": {"identity": _LONG},
        "priority": {"priority": {"priority_key": 6}},
    }
    for name, fields in odd.items():
        workflow = world.workflow(name)
        request = workflow.start_request()
        for field in fields:
            request.ClearField(field)  # type: ignore[arg-type]
        reply = await world.attempt(request, name, **fields)
        workflow.saw_run(reply.run_id)


@script
async def refused_signals_with_start(world: World) -> None:
    faults: dict[str, dict[str, Any]] = {
        "cron before workflow id": {"cron_schedule": "abc", "workflow_id": ""},
        "no workflow id": {"workflow_id": ""},
        "long workflow id": {"workflow_id": _LONG},
        "no signal name, no type": {"signal_name": "", "workflow_type": {}},
        "long signal name": {"signal_name": _LONG},
        "no type": {"workflow_type": {}},
        "long type": {"workflow_type": {"name": _LONG}},
        "task queue before request id": {"task_queue": {"name": ""}, "request_id": _LONG},
        "request id before timeouts": {"request_id": _LONG, "workflow_run_timeout": "-1s"},
        "timeouts before retry policy": {
            "workflow_run_timeout": "-1s",
            "retry_policy": {"maximum_attempts": -1},
        },
        "retry policy before delay": {
            "retry_policy": {"maximum_attempts": -1},
            "workflow_start_delay": "-1s",
        },
        "cron with delay": {"cron_schedule": "* * * * *", "workflow_start_delay": "1s"},
        "terminate if running": {
            "workflow_id_reuse_policy": 4,
            "workflow_id_conflict_policy": 2,
        },
        "reject duplicate": {"workflow_id_reuse_policy": 3, "workflow_id_conflict_policy": 3},
        "conflict policy fail": {"workflow_id_conflict_policy": 1},
        "unknown search attribute": {"search_attributes": {"indexed_fields": {"Nope": {}}}},
        "empty link": {"links": [{}]},
        "big signal": {"signal_input": _BIG},
        "big input": {"input": _BIG},
    }
    for label, fault in faults.items():
        wanted: dict[str, Any] = {
            "workflow_id": world.id("workflow"),
            "workflow_type": {"name": "Workflow"},
            "task_queue": {"name": world.id("queue")},
            "signal_name": "signal",
            "request_id": "request",
        } | fault
        await world.attempt(api.SignalWithStartWorkflowExecutionRequest(), label, **wanted)


_EXECUTION_REQUESTS: dict[str, tuple[type[Message], str, dict[str, Any]]] = {
    "signal": (api.SignalWorkflowExecutionRequest, "workflow_execution", {"signal_name": "s"}),
    "cancel": (api.RequestCancelWorkflowExecutionRequest, "workflow_execution", {}),
    "terminate": (api.TerminateWorkflowExecutionRequest, "workflow_execution", {}),
    "describe": (api.DescribeWorkflowExecutionRequest, "execution", {}),
    "history": (api.GetWorkflowExecutionHistoryRequest, "execution", {}),
    "history_reverse": (api.GetWorkflowExecutionHistoryReverseRequest, "execution", {}),
    "query": (api.QueryWorkflowRequest, "execution", {"query": {"query_type": "q"}}),
    "reset_sticky": (api.ResetStickyTaskQueueRequest, "execution", {}),
}


def _bad_execution(name: str, kind: type[Message], field: str, fields: dict[str, Any]) -> None:
    async def play(world: World) -> None:
        workflow = world.workflow()
        await workflow.start(quiet=True)
        executions: dict[str, Any] = {
            "no execution": None,
            "no workflow id": {"run_id": _UNKNOWN_RUN},
            "run id that is none": {"workflow_id": workflow.id, "run_id": "abc"},
            "unknown workflow": {"workflow_id": "nobody"},
            "unknown workflow and run": {"workflow_id": "nobody", "run_id": _UNKNOWN_RUN},
            "unknown run": {"workflow_id": workflow.id, "run_id": _UNKNOWN_RUN},
            "long workflow id": {"workflow_id": _LONG},
        }
        for label, execution in executions.items():
            await world.attempt(kind(), label, **fields, **{field: execution})
        await world.attempt(kind(), "unknown namespace", namespace="nowhere", **fields)
        await workflow.terminate(quiet=True)
        closed: Any = {"workflow_id": workflow.id}
        await world.attempt(kind(), "closed", **fields, **{field: closed})
        closed["run_id"] = workflow.run_id
        await world.attempt(kind(), "closed, by run", **fields, **{field: closed})

    add(f"refused_execution_{name}", play)


for _name, (_kind, _field, _fields) in _EXECUTION_REQUESTS.items():
    _bad_execution(_name, _kind, _field, _fields)


@script
async def refused_signals(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    await workflow.signal("", "no name")
    await workflow.signal(_LONG, "long name")
    await workflow.signal(label="long request id", request_id=_LONG)
    await workflow.signal(label="empty link", links=[{}])
    await workflow.signal(label="big input", input=_BIG)
    await workflow.signal("", "no name, empty link", links=[{}])
    await workflow.signal(label="long identity", identity=_LONG)


@script
async def refused_queries(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    execution = WorkflowExecution(workflow_id=workflow.id)
    request = api.QueryWorkflowRequest
    await world.attempt(request(execution=execution), "no query")
    await world.attempt(request(execution=execution), "no type", query={})
    wanted = {"query_type": "q", "query_args": _BIG}
    await world.attempt(request(execution=execution), "big arguments", query=wanted)


@script
async def refused_polls(world: World) -> None:
    queues: dict[str, dict[str, Any]] = {
        "no queue": {},
        "empty queue": {"task_queue": {}},
        "long queue": {"task_queue": {"name": _LONG}},
        "reserved queue": {"task_queue": {"name": "/_sys/x/1"}},
        "long identity": {"task_queue": {"name": "q"}, "identity": _LONG},
        "long identity, no queue": {"identity": _LONG},
        "unknown namespace": {"task_queue": {"name": "q"}, "namespace": "nowhere"},
    }
    for kind in (api.PollWorkflowTaskQueueRequest, api.PollActivityTaskQueueRequest):
        for label, fields in queues.items():
            await world.attempt(kind(), label, **fields)
        queue = {"name": world.id("queue")}
        await world.attempt(kind(), "hardly any time", timeout=0.9, task_queue=queue)
        await world.attempt(kind(), "no deadline", timeout=None, task_queue=queue)
        await world.attempt(kind(), "nothing there", timeout=2.2, task_queue=queue)


@script
async def refused_tokens(world: World) -> None:
    kinds = (
        api.RespondWorkflowTaskCompletedRequest,
        api.RespondWorkflowTaskFailedRequest,
        api.RecordActivityTaskHeartbeatRequest,
        api.RespondActivityTaskCompletedRequest,
        api.RespondActivityTaskFailedRequest,
        api.RespondActivityTaskCanceledRequest,
        api.RespondQueryTaskCompletedRequest,
    )
    workflow = world.workflow()
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    for kind in kinds:
        await world.attempt(kind(), "no token")
        await world.attempt(kind(task_token=b"junk"), "junk")
        await world.attempt(kind(task_token=b"junk", namespace="nowhere"), "junk, no namespace")
    token = task.reply.task_token
    for kind in kinds[2:]:
        await world.attempt(kind(task_token=token), "token of a workflow task")
    for kind in kinds[:2]:
        await world.attempt(kind(task_token=token, identity=_LONG), "long identity")
        await world.attempt(kind(task_token=token, namespace="nowhere"), "unknown namespace")
        await world.attempt(
            kind(task_token=token, namespace="temporal-system"), "another namespace"
        )


@script
async def refused_activities_by_id(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    for kind in (
        api.RecordActivityTaskHeartbeatByIdRequest,
        api.RespondActivityTaskCompletedByIdRequest,
        api.RespondActivityTaskFailedByIdRequest,
        api.RespondActivityTaskCanceledByIdRequest,
    ):
        known = kind(workflow_id=workflow.id)
        await world.attempt(kind(), "nothing")
        await world.attempt(known, "no activity id")
        await world.attempt(known, "unknown activity", activity_id="nothing")
        await world.attempt(known, "long identity", activity_id="a", identity=_LONG)
        await world.attempt(known, "run id that is none", activity_id="a", run_id="abc")
        await world.attempt(known, "unknown run", activity_id="a", run_id=_UNKNOWN_RUN)
        await world.attempt(kind(), "unknown workflow", workflow_id="nobody", activity_id="a")
        await world.attempt(kind(), "no workflow id", activity_id="a")


@script
async def empty_requests(world: World) -> None:
    """The first thing that each RPC of this API misses."""
    world.namespace = ""
    for kind in (
        api.RegisterNamespaceRequest,
        api.DescribeNamespaceRequest,
        api.UpdateNamespaceRequest,
        api.StartWorkflowExecutionRequest,
        api.SignalWorkflowExecutionRequest,
        api.SignalWithStartWorkflowExecutionRequest,
        api.RequestCancelWorkflowExecutionRequest,
        api.TerminateWorkflowExecutionRequest,
        api.DescribeWorkflowExecutionRequest,
        api.GetWorkflowExecutionHistoryRequest,
        api.GetWorkflowExecutionHistoryReverseRequest,
        api.QueryWorkflowRequest,
        api.PollWorkflowTaskQueueRequest,
        api.PollActivityTaskQueueRequest,
        api.RecordActivityTaskHeartbeatByIdRequest,
        api.RespondActivityTaskCompletedByIdRequest,
        api.RespondActivityTaskFailedByIdRequest,
        api.RespondActivityTaskCanceledByIdRequest,
        api.ResetStickyTaskQueueRequest,
        api.DescribeTaskQueueRequest,
        api.ListWorkflowExecutionsRequest,
        api.CountWorkflowExecutionsRequest,
        api.ShutdownWorkerRequest,
    ):
        await world.attempt(kind(), "empty")
        if kind is not api.RegisterNamespaceRequest:
            await world.attempt(kind(), "unknown namespace", namespace="nowhere")
        await world.attempt(kind(), "long namespace", namespace=_LONG)


@script
async def unknown_methods_and_bodies(world: World) -> None:
    service = "/temporal.api.workflowservice.v1.WorkflowService"
    for label, path, body in (
        ("unknown method", f"{service}/Nothing", b""),
        ("unknown service", "/nothing.v1.Nothing/Nothing", b""),
        ("no message", f"{service}/StartWorkflowExecution", b"\xff\xff\xff"),
    ):
        reply = await world.wire.call_path(path, body, timeout=5)
        assert isinstance(reply, Refusal)
        world.note(label, [reply.code, reply.message.replace("\xa0", " ")])


@script
async def versions_of_clients_and_servers(world: World) -> None:
    for label, headers in {
        "server too old": {"supported-server-versions": ">=99.0.0"},
        "server good enough": {"supported-server-versions": ">=1.0.0 <2.0.0"},
        "client too new": {"client-version": "9.0.0"},
        "unknown client": {"client-name": "temporal-none", "client-version": "9.0.0"},
        "no version": {"client-version": "abc"},
        "no server versions": {"supported-server-versions": "garbage"},
    }.items():
        defaults = {"client-name": "temporal-go", "client-version": "1.0.0"}
        world.metadata = tuple((defaults | headers).items())
        await world.attempt(api.CountWorkflowExecutionsRequest(namespace="nowhere"), label)
    world.metadata = ()


@script
async def long_headers(world: World) -> None:
    """A token may be long."""
    for size in (7_000, 15_000, 100_000):
        world.metadata = (("authorization", "x" * size),)
        await world.attempt(api.CountWorkflowExecutionsRequest(namespace="nowhere"), f"{size}")
    world.metadata = ()
