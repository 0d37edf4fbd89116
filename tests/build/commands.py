"""Commands and small messages, written the short way.

Only what a worker would send; that a command is wrong is up to the script.
"""

import base64
from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import ParseDict
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Memo, Payload, Payloads
from temporalio.api.enums.v1 import CommandType
from temporalio.api.failure.v1 import Failure


def command(name: str, **fields: Any) -> Command:
    """Build the command `name` ("START_TIMER"); `fields` are its attributes in the JSON form of the API."""
    built = Command(command_type=CommandType.Value(f"COMMAND_TYPE_{name}"))
    attributes = f"{name.lower()}_command_attributes"
    ParseDict(fields, getattr(built, attributes))
    getattr(built, attributes).SetInParent()
    return built


def bare(name: str) -> Command:
    """A command without its attributes."""
    return Command(command_type=CommandType.Value(f"COMMAND_TYPE_{name}"))


def start_timer(timer_id: str, seconds: float) -> Command:
    return command("START_TIMER", timer_id=timer_id, start_to_fire_timeout=f"{seconds}s")


def cancel_timer(timer_id: str) -> Command:
    return command("CANCEL_TIMER", timer_id=timer_id)


def schedule_activity(activity_id: str, queue: str, /, **fields: Any) -> Command:
    """An activity that may take 100 s unless `fields` say otherwise; a field that is None is left out."""
    wanted: dict[str, Any] = {
        "activity_id": activity_id,
        "activity_type": {"name": "Activity"},
        "task_queue": {"name": queue},
        "start_to_close_timeout": "100s",
    } | fields
    present = {key: value for key, value in wanted.items() if value is not None}
    return command("SCHEDULE_ACTIVITY_TASK", **present)


def cancel_activity(scheduled_event_id: int) -> Command:
    return command("REQUEST_CANCEL_ACTIVITY_TASK", scheduled_event_id=scheduled_event_id)


def record_marker(name: str, **fields: Any) -> Command:
    return command("RECORD_MARKER", marker_name=name, **fields)


def complete_workflow(result: str = "done") -> Command:
    return command("COMPLETE_WORKFLOW_EXECUTION", result=json_payloads(result))


def fail_workflow(message: str = "failed", **failure: Any) -> Command:
    info = {"application_failure_info": {"type": "Broken"}}
    return command("FAIL_WORKFLOW_EXECUTION", failure={"message": message} | info | failure)


def cancel_workflow() -> Command:
    return command("CANCEL_WORKFLOW_EXECUTION")


def continue_as_new(**fields: Any) -> Command:
    return command("CONTINUE_AS_NEW_WORKFLOW_EXECUTION", **fields)


def start_child(workflow_id: str, queue: str, /, **fields: Any) -> Command:
    wanted: dict[str, Any] = {
        "workflow_id": workflow_id,
        "workflow_type": {"name": "Child"},
        "task_queue": {"name": queue},
    } | fields
    return command("START_CHILD_WORKFLOW_EXECUTION", **wanted)


def signal_external(
    workflow_id: str, name: str = "hello", /, *, run_id: str = "", **fields: Any
) -> Command:
    execution = {"workflow_id": workflow_id, "run_id": run_id}
    wanted: dict[str, Any] = {"execution": execution, "signal_name": name} | fields
    return command("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION", **wanted)


def cancel_external(workflow_id: str, /, **fields: Any) -> Command:
    return command("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION", workflow_id=workflow_id, **fields)


def upsert_memo(**fields: Any) -> Command:
    """Change these fields of the memo to payloads in the JSON form of the API."""
    return command("MODIFY_WORKFLOW_PROPERTIES", upserted_memo={"fields": fields})


def upsert_search_attributes(**fields: Any) -> Command:
    """Change these search attributes to payloads in the JSON form of the API, see `search_attribute`."""
    wanted = {"indexed_fields": fields}
    return command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", search_attributes=wanted)


def protocol_message(message_id: str) -> Command:
    return command("PROTOCOL_MESSAGE", message_id=message_id)


def payload(text: str) -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=f'"{text}"'.encode())


def payloads(*texts: str) -> Payloads:
    return Payloads(payloads=[payload(text) for text in texts])


def memo(**fields: str) -> Memo:
    return Memo(fields={name: payload(text) for name, text in fields.items()})


def json_payloads(*texts: str) -> Mapping[str, Any]:
    """The same as `payloads` in the JSON form of the API, to be a part of a command."""

    def one(text: str) -> Mapping[str, Any]:
        encoding = base64.b64encode(b"json/plain").decode()
        data = base64.b64encode(f'"{text}"'.encode()).decode()
        return {"metadata": {"encoding": encoding}, "data": data}

    return {"payloads": [one(text) for text in texts]}


def search_attribute(value: str, kind: str = "") -> dict[str, Any]:
    """A search attribute in the JSON form of the API."""
    metadata = {"encoding": base64.b64encode(b"json/plain").decode()}
    if kind:
        metadata["type"] = base64.b64encode(kind.encode()).decode()
    return {"metadata": metadata, "data": base64.b64encode(value.encode()).decode()}


def failure(message: str = "failed", **info: Any) -> Failure:
    """An application failure; `info` are the fields of its ApplicationFailureInfo."""
    built = Failure(message=message)
    ParseDict(info, built.application_failure_info)
    built.application_failure_info.SetInParent()
    return built
