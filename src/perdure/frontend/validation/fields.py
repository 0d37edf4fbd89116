"""Checks of fields that many requests have. Texts are the real server's.

They do not look at any run: the core makes the checks that depend on a run's state.
"""

import re
from typing import Any

import structlog
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from temporalio.api.common.v1 import Priority, WorkflowExecution

from perdure.core.errors import Code, Rejected, invalid_argument
from perdure.core.limits import Limits
from perdure.core.workflow.validation import NUL

log = structlog.get_logger(__name__)

FAIRNESS_KEY_BYTES_MAX = 64
_HEX = "[0-9a-fA-F]"
_HYPHENATED = rf"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}"
_UUID = re.compile(
    rf"{_HYPHENATED}|{_HEX}{{32}}|\{{{_HYPHENATED}\}}|urn:uuid:{_HYPHENATED}", re.ASCII
)


def is_too_long(text: str, limits: Limits) -> bool:
    limit = limits.max_id_length
    return len(text) > limit // 4 and len(text.encode()) > limit


def check_no_nul(text: str, what: str) -> None:
    if NUL in text:
        raise invalid_argument(f"{what} must not contain a NUL character.")


def check_identity(identity: str, limits: Limits) -> None:
    if is_too_long(identity, limits):
        raise invalid_argument("Identity length exceeds limit.")


def check_run_id(run_id: str, message: str = "Invalid RunId.") -> None:
    if run_id and not _UUID.fullmatch(run_id):
        raise invalid_argument(message)


def check_execution(
    request: Any, name: str = "execution", bad_run_id: str = "Invalid RunId."
) -> WorkflowExecution:
    """Return the execution that `request` names in its field `name`."""
    if not request.HasField(name):
        raise invalid_argument("Execution is not set on request.")
    execution: WorkflowExecution = getattr(request, name)
    if not execution.workflow_id:
        raise invalid_argument("WorkflowId is not set on request.")
    check_no_nul(execution.workflow_id, "WorkflowId")
    check_run_id(execution.run_id, bad_run_id)
    return execution


def check_size(blob: Message, limits: Limits) -> None:
    _check_bytes(blob, limits.blob_size, limits.blob_size_warn, "Blob data")


def check_memo(memo: Message, limits: Limits) -> None:
    _check_bytes(memo, limits.memo_size, limits.memo_size_warn, "Memo")


def _check_bytes(blob: Message, limit: int, warn: int, what: str) -> None:
    size = blob.ByteSize()
    if 0 < limit < size:
        raise invalid_argument(f"{what} size exceeds limit.")
    if 0 < warn < size:
        log.warning(f"{what} size exceeds the warning limit", size=size, limit=warn)


def check_priority(priority: Priority) -> None:
    if priority.priority_key < 0:
        raise invalid_argument("priority key can't be negative")
    if len(priority.fairness_key.encode()) > FAIRNESS_KEY_BYTES_MAX:
        raise invalid_argument("fairness key length exceeds limit")
    if priority.fairness_weight < 0:
        raise invalid_argument("must be greater than zero")


def check_no_time_skipping(request: Any) -> None:
    if request.HasField("time_skipping_config"):
        raise Rejected(
            Code.UNIMPLEMENTED, "The Time-Skipping feature is not enabled for namespace."
        )


def mask_fields(mask: FieldMask) -> frozenset[str]:
    """Return the paths of a mask in camel case, whether the client wrote them so or in snake case."""
    return frozenset(
        ".".join(_camel(part) for part in path.split(".")) for path in mask.paths if path
    )


def _camel(words: str) -> str:
    first, *rest = words.split("_")
    return first[:1].lower() + first[1:] + "".join(word[:1].upper() + word[1:] for word in rest)
