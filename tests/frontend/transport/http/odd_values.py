"""Values that are nearly what a field takes: the real server and perdure must agree on which of them it takes."""

from typing import Any

from tests.frontend.transport.http.table import NAMESPACE, WORKFLOWS, Case

_DURATIONS = (
    *(".5s", "1.s", ".s", "+1s", "-.5s", "01s", "00.5s", "1.5000000001s", "1e3s", "1m", "s", "-s"),
    *("315576000000s", "315576000001s", "-315576000001s", "9223372036854775808s", " 1s", ""),
)
_MASKS = ("", ",", "a,,b", "a b", "1a", "foo_bar", "a..b", "*", " paused ", "taskQueue.name")
#: Names of an enum: any spelling of the part that is the name's own.
_NAMES = (
    *("AllEligible", "allEligible", "ALL_ELIGIBLE", "all_eligible", "all-eligible", "All Eligible"),
    *(
        "AllELIGIBLE",
        "ALLEligible",
        "alleligible",
        "A_LL_ELIGIBLE",
        "all__eligible",
        " allEligible",
    ),
    *("_", "", "RESET_REAPPLY_TYPE_AllEligible", "ResetReapplyTypeAllEligible", "1", "1e0"),
)
_BASE64 = (
    "AAE",
    "AAE=",
    "AA_-",
    "AA+_",
    "AA+/",
    "AAAAA",
    "AAA=A",
    "====",
    "CgA=\n",
    "Cg\nA",
    "AAE\n",
)
_INTEGERS = ("+1", "01", "017", "1.0", "1e2", "0x10", "1_0", "%201", "", "-", "99999999999", "-1")
_ESCAPED_BASE64 = ("AAE", "AAE%3D", "AA_-", "AA%2B_", "AA%2B/", "CgA%3D%0A", "!!", "A")
_IDS = (
    "%2e",
    "%2E%2e",
    ".",
    "..",
    "%20",
    "%25",
    "a;b",
    "a:b",
    "*",
    "%7Bx%7D",
)


def _resets(field: str, values: tuple[Any, ...]) -> list[Case]:
    body = {"workflowTaskFinishEventId": "3", "requestId": "r", "reason": "r"}
    return [
        Case(f"{field}: {value!r}", "POST", f"{WORKFLOWS}/nosuch/reset", {**body, field: value})
        for value in values
    ]


def _updates(values: tuple[str, ...]) -> list[Case]:
    return [
        Case(
            f"mask: {value!r}",
            "POST",
            f"{WORKFLOWS}/nosuch/update-options",
            {"workflowExecutionOptions": {}, "updateMask": value},
        )
        for value in values
    ]


def _started(field: str, values: tuple[str, ...]) -> list[Case]:
    """Without a task queue: what can be read is refused for that."""
    return [
        Case(
            f"{field}: {value!r}",
            "POST",
            f"{WORKFLOWS}/bad",
            {"workflowType": {"name": "t"}, field: value},
        )
        for value in values
    ]


def _got(name: str, path: str, values: tuple[str, ...]) -> list[Case]:
    return [Case(f"{name}: {value!r}", "GET", path + value) for value in values]


_BY_ID: dict[str, Any] = {
    "no workflow, no run": {"runId": "x"},
    "no workflow": {"runId": "00000000-0000-0000-0000-000000000000"},
    "no such workflow": {"workflowId": "nosuch", "runId": "x"},
}

CASES = [
    *_started("workflowRunTimeout", _DURATIONS),
    *_updates(_MASKS),
    *_resets("resetReapplyType", (*_NAMES, True, None, 1.5)),
    *[
        Case(f"bytes: {value!r}", "POST", f"{NAMESPACE}/activity-complete", {"taskToken": value})
        for value in _BASE64
    ],
    *_got("integer", f"{WORKFLOWS}/nosuch/history?maximumPageSize=", _INTEGERS),
    *_got("bytes", f"{WORKFLOWS}/nosuch/history?nextPageToken=", _ESCAPED_BASE64),
    *_got("id", f"{WORKFLOWS}/", _IDS),
    *_got("namespace", "/api/v1/namespaces/", ("%2e%2e", "%20")),
    *[
        Case(f"{kind} by id: {name}", "POST", f"{NAMESPACE}/activities/x/{kind}", body)
        for kind in ("heartbeat", "complete", "fail")
        for name, body in _BY_ID.items()
    ],
    # Parameters that ask for another format, and others that do not.
    *_got(
        "format",
        "/system-info?",
        (
            "%70retty",
            "Pretty",
            "pretty=%zz",
            "pretty;",
            "a&&pretty",
            "=pretty",
            "a=pretty",
            "pretty+",
        ),
    ),
    *_got(
        "format", f"{WORKFLOWS}/nosuch?", ("pretty=%zz", "pretty;", "%70retty&%6EoPayloadShorthand")
    ),
    *_got("no parameter", f"{NAMESPACE}/search-attributes?", ("a;b", "a=%zz", "x=1")),
    *[
        Case(f"timeout: {value}", "GET", f"{WORKFLOWS}/nosuch", None, {"grpc-timeout": value})
        for value in ("-1S", "1n", "0S", "1", "1.5S", "9H")
    ],
    Case("expecting", "POST", f"{WORKFLOWS}/nosuch/cancel", {}, {"Expect": "wonders"}),
    Case("expecting to go on", "GET", f"{WORKFLOWS}/nosuch", None, {"Expect": "100-continue"}),
    *[
        Case(f"{verb} of the system", verb, "/api/v1/system-info")
        for verb in ("PATCH", "OPTIONS", "TRACE", "get", "DELETE")
    ],
    *[
        Case(f"content type: {kind!r}", "POST", f"{WORKFLOWS}/bad", {}, {"Content-Type": kind})
        for kind in (
            "APPLICATION/JSON+PRETTY",
            "text/plain",
            "garbage;;",
            "multipart/form-data",
            "",
        )
    ],
    *[
        Case(f"accept: {kind!r}", "GET", f"{WORKFLOWS}/nosuch", None, {"Accept": kind})
        for kind in ("*/*", "application/json+pretty, */*", "APPLICATION/JSON+PRETTY", "")
    ],
]
