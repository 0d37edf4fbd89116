"""The end of a run, sent to a callback as the completion of a Nexus operation: the request, and what its answer means.

Only the form. Nothing is sent here, and no state is changed.
"""

import json
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import Callback, Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.update.v1 import Outcome

from perdure.core.times import timestamp_ns
from perdure.core.workflow.effects import InvokeCallback
from perdure.core.workflow.failures import UNFINISHED_UPDATE
from perdure.core.workflow.state import CompletionCallback, RunState

_FAILURE_TYPE = "temporal.api.failure.v1.Failure"
#: Statuses that stand for an error of Nexus, and which of those are for good.
_ERRORS = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "UNAUTHORIZED",
    404: "NOT_FOUND",
    408: "REQUEST_TIMEOUT",
    409: "CONFLICT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "NOT_IMPLEMENTED",
    503: "UNAVAILABLE",
    520: "UPSTREAM_TIMEOUT",
}
_FOR_GOOD = {
    "BAD_REQUEST",
    "UNAUTHENTICATED",
    "UNAUTHORIZED",
    "NOT_FOUND",
    "CONFLICT",
    "NOT_IMPLEMENTED",
}


class Verdict(NamedTuple):
    #: Empty: the callback has taken it.
    failure: str
    may_retry: bool = True


# The request


def completion(state: RunState, number: int) -> InvokeCallback:
    """Return the request that tells callback `number` how the run has ended."""
    registered = state.callbacks[number]
    nexus = Callback.FromString(registered.callback).nexus
    if registered.update_id:
        outcome, headers, body = _outcome_of_update(registered)
        # Temporal: a rejected update has no event, so there is nothing to say of it.
        is_event = bool(registered.outcome_at_ns or not registered.outcome)
        closed_at_ns = registered.outcome_at_ns or state.close_time_ns
    else:
        event = HistoryEvent.FromString(state.close_event)
        outcome, headers, body = _outcome(event)
        is_event, closed_at_ns = True, timestamp_ns(event.event_time)
    headers["nexus-operation-state"] = outcome
    headers.update(nexus.header)
    defaults = {"user-agent": "temporalio/server"}
    if is_event:
        defaults["nexus-operation-start-time"] = _http_date(state.start_time_ns)
        defaults["nexus-operation-close-time"] = _iso(closed_at_ns)
        defaults["nexus-link"] = _link(state, registered)
    for name, value in defaults.items():
        headers[name] = headers.get(name) or value
    return InvokeCallback(
        number, registered.attempt, nexus.url, tuple(sorted(headers.items())), body
    )


def _outcome_of_update(registered: CompletionCallback) -> tuple[str, dict[str, str], bytes]:
    outcome = Outcome.FromString(registered.outcome)
    if outcome.HasField("success"):
        results = outcome.success.payloads
        return ("succeeded", *(_content(results[0]) if results else ({}, b"")))
    failure = outcome.failure if registered.outcome else UNFINISHED_UPDATE
    return ("failed", {"content-type": "application/json"}, _failure_body(failure))


def _failure_body(failure: Failure) -> bytes:
    failure_fields = _nexus_failure(failure)
    return json.dumps(failure_fields, separators=(",", ":"), ensure_ascii=False).encode()


def _outcome(event: HistoryEvent) -> tuple[str, dict[str, str], bytes]:
    """Return the operation's state, headers and body."""
    match event.event_type:
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
            # Temporal: an operation has one result, so the others are left out.
            results = event.workflow_execution_completed_event_attributes.result.payloads
            return ("succeeded", *(_content(results[0]) if results else ({}, b"")))
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
            failure = event.workflow_execution_failed_event_attributes.failure
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
            failure = Failure(message="operation canceled")
            canceled = event.workflow_execution_canceled_event_attributes
            failure.canceled_failure_info.SetInParent()
            if canceled.HasField("details"):
                failure.canceled_failure_info.details.CopyFrom(canceled.details)
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
            # Temporal: why is nobody's business outside.
            failure = Failure(message="operation terminated")
            failure.terminated_failure_info.SetInParent()
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
            failure = Failure(message="operation exceeded internal timeout")
            failure.timeout_failure_info.SetInParent()
        case other:
            raise AssertionError(f"no end of a workflow: {EventType.Name(other)}")
    is_canceled = event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED
    headers = {"content-type": "application/json"}
    return "canceled" if is_canceled else "failed", headers, _failure_body(failure)


def _nexus_failure(failure: Failure) -> dict[str, Any]:
    failure_fields: dict[str, Any] = {"message": failure.message}
    if failure.stack_trace:
        failure_fields["stackTrace"] = failure.stack_trace
    details = Failure()
    details.CopyFrom(failure)
    details.message = details.stack_trace = ""
    failure_fields["metadata"] = {"type": _FAILURE_TYPE}
    failure_fields["details"] = MessageToDict(details)
    if failure.HasField("cause"):
        failure_fields["cause"] = _nexus_failure(failure.cause)
    return failure_fields


def _content(payload: Payload) -> tuple[dict[str, str], bytes]:
    """Return a payload as HTTP content. Temporal: what has no form of its own there is sent as it is stored."""
    metadata = {key: value.decode(errors="replace") for key, value in payload.metadata.items()}
    encoding, of_type = metadata.get("encoding"), metadata.get("messageType", "")
    kind: str | None = None
    match encoding, len(metadata):
        case "unknown/nexus-content", _:
            others = {f"content-{key}": metadata[key] for key in metadata if key != "encoding"}
            return others, payload.data
        case "json/plain", 1:
            kind = "application/json"
        case "binary/plain", 1:
            kind = "application/octet-stream"
        case "binary/null", 1:
            return {}, payload.data
        case "json/protobuf", 2 if of_type:
            kind = f'application/json; format=protobuf; message-type="{of_type}"'
        case "binary/protobuf", 2 if of_type:
            kind = f'application/x-protobuf; message-type="{of_type}"'
    if kind is None:
        stored = payload.SerializeToString(deterministic=True)
        return {"content-type": "application/x-temporal-payload"}, stored
    return {"content-type": kind}, payload.data


def _link(state: RunState, registered: CompletionCallback) -> str:
    """Return a link to where the operation began: the start, or the request that was attached."""
    parts = [state.namespace, state.workflow_id, state.run_id]
    namespace, workflow_id, run_id = (quote(part, safe="$&+=:@") for part in parts)
    if registered.request_id:
        reference = {
            "eventType": _event_name(state, registered.request_id),
            "referenceType": "RequestIdReference",
            "requestID": registered.request_id,
        }
    else:
        reference = {
            "eventID": "1",
            "eventType": "WorkflowExecutionStarted",
            "referenceType": "EventReference",
        }
    return (
        f"<temporal:///namespaces/{namespace}/workflows/{workflow_id}/{run_id}/history"
        f'?{urlencode(reference)}>; type="temporal.api.common.v1.Link.WorkflowEvent"'
    )


def _event_name(state: RunState, request_id: str) -> str:
    kind = EventType.Name(EventType.ValueType(state.request_ids[request_id].event_type))
    return kind.removeprefix("EVENT_TYPE_").title().replace("_", "")


def _http_date(at_ns: int) -> str:
    return Timestamp(seconds=at_ns // 10**9).ToDatetime().strftime("%a, %d %b %Y %H:%M:%S GMT")


def _iso(at_ns: int) -> str:
    seconds, rest = divmod(at_ns, 10**9)
    whole = Timestamp(seconds=seconds).ToJsonString().removesuffix("Z")
    return whole + (f".{rest:09}".rstrip("0") if rest else "") + "Z"


# The answer


def verdict(status: int, reason: str, content_type: str, retryable: str, body: bytes) -> Verdict:
    """Say what an answer means. `retryable` is the header of that name, empty if there is none."""
    if 200 <= status < 300:
        return Verdict("")
    failure_fields = _described(content_type, body)
    message = failure_fields.get("message")
    suffix = f": {_text(message)}" if isinstance(message, str) and message else ""
    metadata = failure_fields.get("metadata")
    if isinstance(metadata, dict) and metadata.get("type") == "nexus.HandlerError":
        details = failure_fields.get("details")
        if not isinstance(details, dict):
            broken = "failed to convert Failure to error: failed to deserialize HandlerError"
            return Verdict(f"{broken}: unexpected end of JSON input{suffix}")
        kind, override = _text(str(details.get("type", ""))), details.get("retryableOverride")
        may_retry = override if isinstance(override, bool) else kind not in _FOR_GOOD
        return Verdict(f"handler error ({kind}){suffix}", may_retry)
    error = _ERRORS.get(status)
    if error is None:
        return Verdict(f'unexpected response status: "{status} {reason}"{suffix}')
    said = {"true": True, "false": False}.get(retryable.lower())
    return Verdict(f"handler error ({error})", said if said is not None else error not in _FOR_GOOD)


def _described(content_type: str, body: bytes) -> dict[str, Any]:
    """Return the failure that an answer describes; nothing if it describes none."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        return {}
    try:
        failure_fields = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return failure_fields if isinstance(failure_fields, dict) else {}


def _text(failure_fields: str) -> str:
    """Return text that can be stored, whatever escapes were in it."""
    return failure_fields.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
