"""Messages as JSON: what the real server is not asked about, because it would have to be for every message there is."""

import json
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.workflowservice.v1 import (
    RespondActivityTaskFailedRequest,
    StartWorkflowExecutionRequest,
)

from perdure.frontend.registry import SERVICES
from perdure.frontend.transport.http import json_text, parameters
from perdure.frontend.transport.http.payloads import payload_of, short
from perdure.frontend.transport.http.protojson import (
    F,
    decode,
    encode,
    is_map,
)

_METHODS = [method for service in SERVICES for method in service.methods]
_NUMBERS = st.integers(-(2**31), 2**31 - 1)
_TEXT = st.text(max_size=5)
_SCALARS = {
    F.TYPE_STRING: _TEXT,
    F.TYPE_BYTES: st.binary(max_size=5),
    F.TYPE_BOOL: st.booleans(),
    # Zero has no sign here: Python's reader of JSON drops it.
    F.TYPE_DOUBLE: st.floats(allow_nan=False).map(lambda value: value + 0.0),
    F.TYPE_FLOAT: st.floats(width=32, allow_nan=False).map(lambda value: value + 0.0),
    F.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    F.TYPE_UINT32: st.integers(0, 2**32 - 1),
    F.TYPE_UINT64: st.integers(0, 2**64 - 1),
}


def _fill(message: Any, draw: st.DrawFn, depth: int) -> Message:
    name = message.DESCRIPTOR.full_name
    if name.startswith("google.protobuf."):
        if name.endswith("Timestamp"):
            message.seconds = draw(st.integers(0, 2**33))
        if name.endswith("Duration"):
            message.nanos = draw(st.integers(0, 10**9 - 1))
        if name.endswith("FieldMask"):
            message.paths.extend(["a_b"])
        return message
    fields = list(message.DESCRIPTOR.fields)
    for field in draw(st.lists(st.sampled_from(fields), max_size=6, unique=True)) if fields else ():
        if field.type == F.TYPE_MESSAGE and depth == 0:
            continue
        if is_map(field):
            key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
            members, at = getattr(message, field.name), _scalar(key, draw)
            if value.type == F.TYPE_MESSAGE:
                _fill(members[at], draw, depth - 1)
            else:
                members[at] = _scalar(value, draw)
        elif field.is_repeated:
            several = getattr(message, field.name)
            if field.type == F.TYPE_MESSAGE:
                _fill(several.add(), draw, depth - 1)
            else:
                several.append(_scalar(field, draw))
        elif field.type == F.TYPE_MESSAGE:
            _fill(getattr(message, field.name), draw, depth - 1).SetInParent()
        else:
            setattr(message, field.name, _scalar(field, draw))
    return message


def _scalar(field: Any, draw: st.DrawFn) -> Any:
    if field.type == F.TYPE_ENUM:
        return draw(st.sampled_from([*field.enum_type.values_by_number, 77]))
    return draw(_SCALARS.get(field.type, _NUMBERS))


@st.composite
def messages(draw: st.DrawFn) -> Message:
    method = draw(st.sampled_from(_METHODS))
    kind = draw(st.sampled_from([method.input_type, method.output_type]))
    return _fill(GetMessageClass(kind)(), draw, 4)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(messages())
def test_in_full_it_is_the_json_of_protocol_buffers(message: Message) -> None:
    written = json_text.encoded(json_text.write(encode(message, shorthand=False)))
    assert json_format.Parse(written, type(message)()) == message
    again = type(message)()
    decode(json_text.read(written), again, shorthand=False)
    assert again.SerializeToString(deterministic=True) == message.SerializeToString(
        deterministic=True
    )
    pretty = json_text.encoded(json_text.write(encode(message, shorthand=False), pretty=True))
    assert json_text.read(pretty) == json_text.read(written)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(_JSON)
def test_a_value_survives_as_shorthand(value: Any) -> None:
    payload = payload_of(json_text.read(json.dumps(value).encode()))
    shown = json.loads(json_text.write(short(payload)))
    if value is None:
        assert payload.metadata["encoding"] == b"binary/null"
        assert shown == {"metadata": {"encoding": "YmluYXJ5L251bGw="}}
    else:
        assert _rounded(shown) == _rounded(value)
        assert _rounded(json.loads(payload.data)) == _rounded(value)


def _rounded(value: Any) -> Any:
    """Numbers as JSON has them: all of one kind."""
    if isinstance(value, dict):
        return {name: _rounded(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=12), st.binary(max_size=3))
def test_any_payload_can_be_written_and_read(data: bytes, kind: bytes) -> None:
    for encoding in (b"json/plain", b"json/protobuf", b"binary/null", kind):
        payloads = Payloads(
            payloads=[Payload(metadata={"encoding": encoding, "messageType": kind}, data=data)]
        )
        again = Payloads()
        text = json_text.encoded(json_text.write(encode(payloads, shorthand=True)))
        decode(json_text.read(text), again, shorthand=True)
        assert len(again.payloads) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"input":' + b"[" * 100_000,
        b'{"a":"\xff"}',
        b'{"identity":"\\ud800"}',
        b"NaN",
    ],
)
def test_what_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(json_text.BadJson):
        decode(json_text.read(body), StartWorkflowExecutionRequest(), shorthand=True)


@pytest.mark.parametrize(
    ("text", "seconds", "nanos"),
    [
        ("1.5s", 1, 500_000_000),
        ("-1m0.5s", -60, -500_000_000),
        ("0", 0, 0),
        ("2h3ms", 7200, 3_000_000),
    ],
)
def test_durations_as_parameters(text: str, seconds: int, nanos: int) -> None:
    request = StartWorkflowExecutionRequest()
    parameters.populate(request, parameters.parse(f"workflowRunTimeout={text}"))
    assert (request.workflow_run_timeout.seconds, request.workflow_run_timeout.nanos) == (
        seconds,
        nanos,
    )


def test_lists_and_maps_as_parameters() -> None:
    request = StartWorkflowExecutionRequest()
    query = "retryPolicy.nonRetryableErrorTypes=a&retry_policy.nonRetryableErrorTypes=b%20+c"
    parameters.populate(request, parameters.parse(query))
    assert list(request.retry_policy.non_retryable_error_types) == ["a", "b  c"]


@pytest.mark.parametrize(
    "query",
    [
        "workflowRunTimeout=1",
        "workflowRunTimeout=",
        "memo.fields[a]=1",
        "workflowIdReusePolicy=%ff",
    ],
)
def test_parameters_that_are_refused(query: str) -> None:
    with pytest.raises(parameters.BadParameter):
        parameters.populate(StartWorkflowExecutionRequest(), parameters.parse(query))


def test_messages_are_not_nested_without_end() -> None:
    body = b'{"failure":' + b'{"cause":' * 90 + b"{}" + b"}" * 91
    with pytest.raises(json_text.BadJson, match="recursion depth"):
        decode(json_text.read(body), RespondActivityTaskFailedRequest(), shorthand=True)


def test_a_deep_value_is_taken_and_shown_in_full() -> None:
    for depth, is_short in ((90, True), (110, False), (300, False)):
        payload = payload_of(json_text.read(b"[" * depth + b"1" + b"]" * depth))
        assert (short(payload) is not None) == is_short
        assert json_text.write(encode(payload, shorthand=True))
