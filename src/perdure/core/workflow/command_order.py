"""The order of a completion's commands: it is checked before any of them is carried out."""

from collections.abc import Sequence

from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import (
    CommandType,
    WorkflowTaskFailedCause,
)
from temporalio.api.protocol.v1 import Message

from perdure.core.errors import invalid_argument
from perdure.core.workflow.history_step import HistoryStep

_CLOSING = {
    CommandType.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
    CommandType.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION,
    CommandType.COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION,
    CommandType.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION,
}
#: Commands of features that are still to be built, refused by name. Each is a later concept file.
NOT_YET = {
    CommandType.COMMAND_TYPE_SCHEDULE_NEXUS_OPERATION: "Nexus operations",
    CommandType.COMMAND_TYPE_REQUEST_CANCEL_NEXUS_OPERATION: "Nexus operations",
}


def check_order(
    step: HistoryStep, commands: Sequence[Command], messages: Sequence[Message]
) -> None:
    """Temporal: a wrong order is refused outright; the worker keeps the task."""
    if not all(message.HasField("body") for message in messages):
        raise invalid_argument("nil message body")
    for index, command in enumerate(commands):
        kind = command.command_type
        is_known = kind in step.commands or kind in NOT_YET
        if not is_known and kind != CommandType.COMMAND_TYPE_PROTOCOL_MESSAGE:
            raise invalid_argument(f"unknown command type: {camel(CommandType, kind)}")
        if kind in _CLOSING and index < len(commands) - 1:
            names = ", ".join(camel(CommandType, each.command_type) for each in commands)
            raise invalid_argument(
                f"invalid command sequence: [{names}],"
                f" command {camel(CommandType, kind)} must be the last command."
            )


def camel(enum: object, value: int) -> str:
    """Temporal: error texts name an enum's value in camel case, without the enum's own name."""
    if enum is CommandType:
        if value not in CommandType.values():
            return str(value)
        name = CommandType.Name(CommandType.ValueType(value)).removeprefix("COMMAND_TYPE_")
    else:
        name = WorkflowTaskFailedCause.Name(WorkflowTaskFailedCause.ValueType(value)).removeprefix(
            "WORKFLOW_TASK_FAILED_CAUSE_"
        )
    return "".join(word.capitalize() for word in name.split("_"))
