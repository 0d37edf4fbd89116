"""Calls that the real server and perdure must answer alike, in the order in which they are made."""

from typing import Any, NamedTuple

NAMESPACE = "/api/v1/namespaces/default"
WORKFLOWS = f"{NAMESPACE}/workflows"
TYPED = {"workflowType": {"name": "type"}, "taskQueue": {"name": "queue"}}
BINARY = {"metadata": {"encoding": "YmluYXJ5L3BsYWlu"}, "data": "AAE="}
FULL = "application/json+no-payload-shorthand"


class Case(NamedTuple):
    name: str
    verb: str
    path: str
    body: Any = None
    headers: dict[str, str] = {}  # noqa: RUF012


def _started(name: str, body: Any, **headers: str) -> Case:
    return Case(f"start: {name}", "POST", f"{WORKFLOWS}/{name.replace(' ', '-')}", body, headers)


#: Bodies that StartWorkflowExecution refuses.
_BAD_BODIES: dict[str, Any] = {
    "nothing": "",
    "blank": "  ",
    "cut off": "{",
    "cut off in a string": '{"a',
    "no JSON": "hello",
    "a comma too many": '{"workflowType": {"name":"a"},}',
    "no colon": '{"a" 1}',
    "a list": [],
    "null": "null",
    "unknown field": {"bogus": 1},
    "unknown field and more": '{"a":1}garbage',
    "string for message": {"workflowType": "x"},
    "number for string": {"workflowType": {"name": 5}},
    "null for everything": {"workflowType": {"name": None}, "input": None},
    "number for duration": {"workflowRunTimeout": 5},
    "duration without unit": {"workflowRunTimeout": "5"},
    "negative duration": {**TYPED, "workflowRunTimeout": "-5s"},
    "two names of a field": '{"workflow_task_timeout":"1s","workflowTaskTimeout":"2s"}',
    "a field twice": '{"input":[1],"input":[2]}',
    "unknown enum": {"workflowIdReusePolicy": "x"},
    "fraction for int": {"priority": {"priorityKey": 1.5}},
    "int too large": {"priority": {"priorityKey": "99999999999"}},
    "int with blank": {"priority": {"priorityKey": "1 "}},
    "int with underscore": {"priority": {"priorityKey": "1_0"}},
    "string for bool": {"requestEagerExecution": "yes"},
    "string for float": {"retryPolicy": {"backoffCoefficient": "abc"}},
    "float too large": '{"retryPolicy":{"backoffCoefficient":1e999}}',
    "object for list": {"links": {}},
    "null in list of messages": {"links": [None]},
    "null in list of strings": {"retryPolicy": {"nonRetryableErrorTypes": ["a", None]}},
    "list for map": {"header": {"fields": []}},
    "a key twice": '{"memo":{"fields":{"a":1,"a":2}}}',
    "number for payloads": {"input": 5},
    "unknown field of payloads": {"input": {"x": 5}},
    "two of a oneof": {"completionCallbacks": [{"nexus": {}, "internal": {}}]},
    "bad timestamp": {"onConflictOptions": {}, "userMetadata": 1},
}

CASES = [
    *[Case(name, "POST", f"{WORKFLOWS}/bad", body) for name, body in _BAD_BODIES.items()],
    Case(
        "shorthand where it is off",
        "POST",
        f"{WORKFLOWS}/bad",
        {"input": [1]},
        {"Content-Type": FULL},
    ),
    Case(
        "old client",
        "POST",
        f"{WORKFLOWS}/bad",
        {},
        {"client-name": "temporal-go", "client-version": "3.0.0"},
    ),
    Case("bad timeout", "POST", f"{WORKFLOWS}/bad", {}, {"grpc-timeout": "zz"}),
    Case("body too large", "POST", f"{WORKFLOWS}/bad", " " * (4 * 1024 * 1024 + 1)),
    # Paths
    Case("root", "GET", "/"),
    Case("no such path", "GET", "/nope"),
    Case("slash at the end", "GET", "/system-info/"),
    Case("PUT", "PUT", "/system-info"),
    Case("POST where one gets", "POST", "/system-info", {}),
    Case("HEAD", "HEAD", "/system-info"),
    Case("DELETE where one cannot", "DELETE", f"{WORKFLOWS}/x"),
    Case("two slashes", "GET", "//system-info"),
    Case("dots", "GET", "/a/../system-info?x=y"),
    Case("nothing between slashes", "GET", "/namespaces//workflows"),
    Case("blank namespace", "GET", "/namespaces/%20/workflows/x"),
    Case("bad escape", "GET", f"{WORKFLOWS}/%zz"),
    Case("other prefix", "GET", "/namespaces/default/workflows/nosuch"),
    Case("no namespace", "GET", "/api/v1/namespaces/nope/workflows/x"),
    Case("describe no namespace", "GET", "/api/v1/namespaces/nope"),
    Case("describe no namespace, old path", "GET", "/cluster/namespaces/nope"),
    # Parameters
    Case("unknown parameter", "GET", f"{WORKFLOWS}/nosuch?bogus=1&bogus.more=2"),
    Case("no integer", "GET", "/api/v1/namespaces?pageSize=x"),
    Case("twice", "GET", "/api/v1/namespaces?pageSize=1&pageSize=2"),
    Case("no bool", "GET", "/api/v1/namespaces?namespaceFilter.includeDeleted=maybe"),
    Case("no enum", "GET", f"{WORKFLOWS}/x/history?historyEventFilterType=9"),
    Case("no enum's name", "GET", f"{WORKFLOWS}/x/history?historyEventFilterType=bla"),
    Case(
        "enum's name",
        "GET",
        f"{WORKFLOWS}/x/history?historyEventFilterType=HISTORY_EVENT_FILTER_TYPE_ALL_EVENT",
    ),
    Case(
        "enum's number", "GET", f"{WORKFLOWS}/x/history?history_event_filter_type=1&waitNewEvent=t"
    ),
    Case("field of the path", "GET", f"{WORKFLOWS}/nosuch?execution.workflowId=other"),
    Case("bad run id", "GET", f"{WORKFLOWS}/nosuch?execution.runId=zz"),
    Case("message", "GET", f"{WORKFLOWS}/nosuch?execution=zz"),
    Case("below a string", "GET", f"{WORKFLOWS}/nosuch?execution.runId.x=zz"),
    Case("semicolon", "GET", f"{WORKFLOWS}/nosuch?a;b"),
    Case("bad escape in query", "GET", f"{WORKFLOWS}/nosuch?a=%zz"),
    # A life
    _started(
        "values",
        {
            **TYPED,
            "namespace": "nope",
            "workflowId": "other",
            "input": [
                {"a": 1, "A": None},
                "x",
                None,
                3.50,
                [],
                {},
                [1, []],
                {"_protoMessageType": "m.M", "x": "<&>\u00e9"},
                1e21,
                1.0,
                123456789012345678901,
                1e-7,
                0.000001,
                -0.0,
                True,
            ],
        },
    ),
    _started("values", TYPED),
    _started(
        "in full",
        {**TYPED, "input": {"payloads": [BINARY, {"metadata": {}, "data": "AAE="}, 5]}},
        **{"Content-Type": "application/json; charset=utf-8"},
    ),
    _started(
        "memo",
        {**TYPED, "memo": {"fields": {"b": BINARY, "c": [1]}}, "header": {"fields": {"h": "x"}}},
    ),
    _started(
        "by snake",
        {
            "workflow_type": {"name": "t"},
            "task_queue": {"name": "q", "kind": 1},
            "workflow_run_timeout": "3600.5s",
        },
    ),
    _started("pretty", TYPED, **{"Content-Type": "application/json+pretty; charset=utf-8"}),
    Case("history", "GET", f"{WORKFLOWS}/values/history"),
    Case("history, pretty", "GET", f"{WORKFLOWS}/values/history?pretty"),
    Case("history in full", "GET", f"{WORKFLOWS}/values/history?noPayloadShorthand"),
    Case("history in full, accepted", "GET", f"{WORKFLOWS}/values/history", None, {"Accept": FULL}),
    Case(
        "history in full, pretty",
        "GET",
        f"{WORKFLOWS}/values/history?noPayloadShorthand&pretty",
        None,
        {"Accept": "x"},
    ),
    Case("history of payloads in full", "GET", f"{WORKFLOWS}/in-full/history"),
    Case("reverse", "GET", f"{WORKFLOWS}/in-full/history-reverse"),
    Case("describe", "GET", f"{WORKFLOWS}/memo"),
    Case("signal", "POST", f"{WORKFLOWS}/memo/signal/s", {"input": [{"b": [], "a": 1}]}),
    Case("signal nobody", "POST", f"{WORKFLOWS}/nosuch/signal/s", {}),
    Case(
        "signal with start",
        "POST",
        f"{WORKFLOWS}/both/signal-with-start/s",
        {**TYPED, "signalInput": [1]},
    ),
    Case("query without worker", "POST", f"{WORKFLOWS}/memo/query/q", {}, {"grpc-timeout": "300m"}),
    Case("cancel", "POST", f"{WORKFLOWS}/memo/cancel", {"reason": "r"}),
    Case("terminate", "POST", f"{WORKFLOWS}/memo/terminate", {"reason": "r", "details": ["d"]}),
    Case("terminate again", "POST", f"{WORKFLOWS}/memo/terminate", {}),
    Case("history at the end", "GET", f"{WORKFLOWS}/memo/history"),
    Case(
        "last event, waiting",
        "GET",
        f"{WORKFLOWS}/memo/history?waitNewEvent=true&historyEventFilterType=2",
    ),
    Case(
        "update without worker",
        "POST",
        f"{WORKFLOWS}/values/update/u",
        {"request": {"input": {"args": [1]}}},
        {"grpc-timeout": "300m"},
    ),
    Case("update nobody", "POST", f"{WORKFLOWS}/nosuch/update/u", {}),
    Case(
        "options",
        "POST",
        f"{WORKFLOWS}/values/update-options",
        {"workflowExecutionOptions": {"priority": {"priorityKey": 2}}, "updateMask": "priority"},
    ),
    Case("reset", "POST", f"{WORKFLOWS}/values/reset", {"workflowTaskFinishEventId": "3"}),
    Case("heartbeat", "POST", f"{NAMESPACE}/activity-heartbeat", {"taskToken": "", "details": [1]}),
    Case(
        "heartbeat by id", "POST", f"{NAMESPACE}/activities/a/heartbeat", {"workflowId": "values"}
    ),
    Case("complete by id", "POST", f"{WORKFLOWS}/values/activities/a/complete", {"result": [1]}),
    Case(
        "fail by id",
        "POST",
        f"{WORKFLOWS}/nosuch/activities/a/fail",
        {"failure": {"message": "m", "cause": {"applicationFailureInfo": {"details": [1]}}}},
    ),
    Case(
        "pause an activity",
        "POST",
        f"{NAMESPACE}/activities-deprecated/pause",
        {"execution": {"workflowId": "values"}, "id": "a"},
    ),
    # Namespaces
    Case(
        "register",
        "POST",
        "/api/v1/namespaces",
        {
            "namespace": "made",
            "workflowExecutionRetentionPeriod": "259200s",
            "data": {"b": "1", "a": "2"},
        },
    ),
    Case(
        "register again",
        "POST",
        "/cluster/namespaces",
        {"namespace": "made", "workflowExecutionRetentionPeriod": "259200s"},
    ),
    Case("register without retention", "POST", "/api/v1/namespaces", {"namespace": "other"}),
    Case(
        "update a namespace",
        "POST",
        "/api/v1/namespaces/made/update",
        {"updateInfo": {"description": "d", "data": {"c": "3"}}},
    ),
    Case("describe it", "GET", "/api/v1/namespaces/made"),
    Case(
        "task queue", "GET", f"{NAMESPACE}/task-queues/other?taskQueueType=TASK_QUEUE_TYPE_ACTIVITY"
    ),
    Case(
        "task queue, bad kind",
        "GET",
        f"{NAMESPACE}/task-queues/other?taskQueue.kind=TASK_QUEUE_KIND_STICKY&reportPollers=1",
    ),
    Case(
        "versions",
        "GET",
        f"{NAMESPACE}/task-queues/other?versions.buildIds=a&versions.buildIds=b&apiMode=1",
    ),
    Case("count", "GET", f"{NAMESPACE}/workflow-count"),
    Case("list", "GET", f"{WORKFLOWS}?pageSize=100"),
    Case("search attributes", "GET", f"{NAMESPACE}/search-attributes"),
    # Others
    Case(
        "a form",
        "POST",
        f"{WORKFLOWS}/nosuch",
        "execution.runId=zz",
        {"Content-Type": "application/x-www-form-urlencoded", "X-HTTP-Method-Override": "get"},
    ),
    Case("bytes", "POST", f"{NAMESPACE}/activity-complete", {"taskToken": "AAA_"}),
    Case("no bytes", "POST", f"{NAMESPACE}/activity-complete", {"taskToken": "A!"}),
    Case(
        "number for mask",
        "POST",
        f"{NAMESPACE}/activities-deprecated/update-options",
        {"updateMask": 5},
    ),
    Case(
        "mask",
        "POST",
        f"{NAMESPACE}/activities-deprecated/update-options",
        {"updateMask": "fooBar,x"},
    ),
    Case("closing", "GET", f"{WORKFLOWS}/nosuch", None, {"Connection": "close"}),
    Case("documents are for getting", "POST", "/openapi.yaml", {}),
]
