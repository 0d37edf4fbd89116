"""The older list calls have fields instead of a filter text. Their fields become a filter here."""

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflowservice.v1 import (
    ListClosedWorkflowExecutionsRequest,
    ListOpenWorkflowExecutionsRequest,
)

from perdure.core.errors import invalid_argument
from perdure.core.times import timestamp_ns
from perdure.core.visibility.attributes import FIELDS, Attribute
from perdure.core.visibility.filters import (
    IN_NO_DIVISION,
    All,
    Between,
    Compare,
    Condition,
    Filter,
    IsNull,
    Operator,
)
from perdure.core.visibility.indexing import cleaned
from perdure.core.visibility.values import INT64_MAX, STATUS_NAMES

#: The years that a time may be in, in seconds since 1970.
YEAR_1_S = -62_135_596_800
YEAR_10000_S = 253_402_300_800
_RUNNING = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING
ListByFieldsRequest = ListOpenWorkflowExecutionsRequest | ListClosedWorkflowExecutionsRequest


def open_executions(request: ListOpenWorkflowExecutionsRequest) -> Filter:
    return _all_of(
        Compare(_attribute("ExecutionStatus"), Operator.EQUAL, _RUNNING),
        *_between("StartTime", request),
        *_named(request),
    )


def closed_executions(request: ListClosedWorkflowExecutionsRequest) -> Filter:
    conditions = [
        Compare(_attribute("ExecutionStatus"), Operator.NOT_EQUAL, _RUNNING),
        # It says where the closed executions begin in the order of lists.
        IsNull(_attribute("CloseTime"), is_negated=True),
        *_between("CloseTime", request),
        *_named(request),
    ]
    if request.WhichOneof("filters") == "status_filter":
        status = request.status_filter.status
        if status in (0, _RUNNING):
            raise invalid_argument("StatusFilter must be specified and must be not Running.")
        if status not in STATUS_NAMES:
            raise invalid_argument(
                f"invalid query: invalid expression: invalid ExecutionStatus value '{status}'"
            )
        conditions.append(Compare(_attribute("ExecutionStatus"), Operator.EQUAL, status))
    return _all_of(*conditions)


def _attribute(field: str) -> Attribute:
    assert field in FIELDS
    return Attribute(field, field)


def _all_of(*conditions: Condition) -> Filter:
    return Filter(All((IN_NO_DIVISION, *conditions)))


def _between(field: str, request: ListByFieldsRequest) -> list[Condition]:
    attribute, times = _attribute(field), request.start_time_filter
    earliest = _time_ns(times.earliest_time) if times.HasField("earliest_time") else None
    latest = _time_ns(times.latest_time) if times.HasField("latest_time") else None
    if earliest is not None and latest is not None:
        if earliest > latest:
            raise invalid_argument(
                "EarliestTime in StartTimeFilter should not be larger than LatestTime."
            )
        return [Between(attribute, earliest, latest)]
    if earliest is not None:
        return [Compare(attribute, Operator.GREATER_OR_EQUAL, earliest)]
    if latest is not None:
        return [Compare(attribute, Operator.LESS_OR_EQUAL, latest)]
    return []


def _time_ns(time: Timestamp) -> int:
    """Return a time, or the nearest that 64 bits can hold. Raises `Rejected` for a year before 1 or after 9999."""
    if not YEAR_1_S <= time.seconds < YEAR_10000_S:
        raise invalid_argument(
            f"invalid query: invalid expression: unable to parse datetime '{time.seconds}'"
        )
    return max(-INT64_MAX, min(INT64_MAX, timestamp_ns(time)))


def _named(request: ListByFieldsRequest) -> list[Condition]:
    match request.WhichOneof("filters"):
        case "execution_filter":
            field, name = "WorkflowId", request.execution_filter.workflow_id
        case "type_filter":
            field, name = "WorkflowType", request.type_filter.name
        case _:
            return []
    return [Compare(_attribute(field), Operator.EQUAL, cleaned(name))]
