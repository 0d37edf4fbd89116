"""How a request is refused. The frontend turns these into gRPC statuses; nothing here knows gRPC itself."""

from enum import IntEnum

from google.protobuf.message import Message
from temporalio.api.enums.v1 import ResourceExhaustedCause, ResourceExhaustedScope
from temporalio.api.errordetails.v1 import (
    NotFoundFailure,
    PermissionDeniedFailure,
    ResourceExhaustedFailure,
)


class Code(IntEnum):
    """The canonical status codes, by their gRPC numbers."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


class Rejected(Exception):
    """The caller asked for what cannot be done. Raised before anything is recorded.

    `detail` is the message of `temporal.api.errordetails.v1` that goes with the status, if there is one.
    """

    def __init__(self, code: Code, message: str, detail: Message | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        if detail is None and code is Code.NOT_FOUND:
            detail = NotFoundFailure()  # Temporal: this code never comes without it.
        self.detail = detail


def invalid_argument(message: str) -> Rejected:
    return Rejected(Code.INVALID_ARGUMENT, message)


def permission_denied(message: str) -> Rejected:
    return Rejected(Code.PERMISSION_DENIED, message, PermissionDeniedFailure())


def going() -> Rejected:
    """The server is being stopped. Asked again, the next one answers."""
    return Rejected(Code.UNAVAILABLE, "the server is shutting down")


def closing() -> Rejected:
    """The workflow is about to close, and takes nothing in until it has."""
    return busy_workflow("workflow operation can not be applied because workflow is closing")


def no_workflow_task() -> Rejected:
    """The workflow task that is meant has ended, or is another worker's."""
    return Rejected(Code.NOT_FOUND, "Workflow task not found.")


def unavailable(message: str) -> Rejected:
    """Return a refusal that clients retry by themselves."""
    return Rejected(Code.UNAVAILABLE, message)


def busy_workflow(message: str) -> Rejected:
    """One workflow is asked for more than it can take at the moment."""
    return Rejected(
        Code.RESOURCE_EXHAUSTED,
        message,
        ResourceExhaustedFailure(
            cause=ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW,
            scope=ResourceExhaustedScope.RESOURCE_EXHAUSTED_SCOPE_NAMESPACE,
        ),
    )
