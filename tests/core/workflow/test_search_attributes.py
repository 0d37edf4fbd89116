"""The workflow says what lists and its description show of it."""

import pytest
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import IndexedValueType

from perdure.core.limits import Limits
from perdure.core.search_attributes import fault
from tests.build.commands import command, payload
from tests.core.workflow.run import OneRun

NOTHING = Payload(metadata={"encoding": b"binary/null"})


def remember(**fields: Payload) -> Command:
    built = command("MODIFY_WORKFLOW_PROPERTIES", upserted_memo={})
    memo = built.modify_workflow_properties_command_attributes.upserted_memo
    for key, value in fields.items():
        memo.fields[key].CopyFrom(value)
    return built


def show(**fields: Payload) -> Command:
    built = command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", search_attributes={})
    attributes = built.upsert_workflow_search_attributes_command_attributes.search_attributes
    for key, value in fields.items():
        attributes.indexed_fields[key].CopyFrom(value)
    return built


def memo(run: OneRun) -> dict[str, bytes]:
    fields = run.described().workflow_execution_info.memo.fields
    return {key: fields[key].data for key in fields}


def attributes(run: OneRun) -> dict[str, bytes]:
    fields = run.described().workflow_execution_info.search_attributes.indexed_fields
    return {key: fields[key].data for key in fields}


def test_a_memo_is_added_to_replaced_and_taken_away() -> None:
    run = OneRun(memo={"fields": {"a": {"data": "MQ=="}, "b": {"data": "Mg=="}}})
    assert memo(run) == {"a": b"1", "b": b"2"}
    run.work(remember(b=payload("two"), c=payload("three")))
    assert run.history().endswith("5 WorkflowPropertiesModified")
    assert run.event(5).workflow_task_completed_event_id == 4
    assert set(run.event(5).upserted_memo.fields) == {"b", "c"}
    assert memo(run) == {"a": b"1", "b": b'"two"', "c": b'"three"'}
    run.signal()
    run.work(remember(a=NOTHING))
    assert memo(run) == {"b": b'"two"', "c": b'"three"'}


def test_search_attributes_are_added_to_replaced_and_taken_away() -> None:
    run = OneRun()
    assert attributes(run) == {}
    run.work(show(Color=payload("red")))
    assert run.history().endswith("5 UpsertWorkflowSearchAttributes")
    assert run.event(5).search_attributes.indexed_fields["Color"].metadata["type"] == b"Keyword"
    assert attributes(run) == {"Color": b'"red"', "BuildIds": b'["unversioned"]'}
    run.signal()
    run.work(show(Color=payload("blue")))
    assert attributes(run)["Color"] == b'"blue"'
    run.signal()
    run.work(show(Color=NOTHING))
    assert attributes(run) == {"BuildIds": b'["unversioned"]'}


def test_they_can_be_set_at_the_start() -> None:
    run = OneRun(search_attributes={"indexed_fields": {"Color": {"data": "InJlZCI="}}})
    assert attributes(run) == {"Color": b'"red"'}
    fields = run.event(1).search_attributes.indexed_fields
    assert fields["Color"].metadata["type"] == b"Keyword"


@pytest.mark.parametrize(
    "name",
    [
        "WorkflowId",
        "TemporalWorkerDeployment",
        "TemporalWorkerDeploymentVersion",
        "TemporalWorkflowVersioningBehavior",
        "TemporalUsedWorkerDeploymentVersions",
        "TemporalExternalPayloadCount",
        "TemporalExternalPayloadSizeBytes",
    ],
)
def test_the_server_alone_sets_some(name: str) -> None:
    # That comes before any look at values: `NOTHING` would be taken.
    said = fault({"BuildIds": NOTHING, name: NOTHING}, {}, "ns", Limits())
    assert said == f"{name} attribute can't be set in SearchAttributes"


def test_builds_that_a_caller_names_come_after_those_that_the_server_knows() -> None:
    run = OneRun(search_attributes={"indexed_fields": {"BuildIds": {"data": "WyJtaW5lIl0="}}})
    assert attributes(run) == {"BuildIds": b'["mine"]'}
    run.work()
    assert attributes(run) == {"BuildIds": b'["unversioned"]'}, "it was no value"
    run = OneRun()
    run.work(show(BuildIds=Payload(metadata={"encoding": b"json/plain"}, data=b'["mine"]')))
    assert attributes(run) == {"BuildIds": b'["unversioned","mine"]'}


def test_both_outlive_a_crash() -> None:
    run = OneRun()
    run.work(remember(a=payload("1")), show(Color=payload("red")))
    run.crash()
    assert memo(run) == {"a": b'"1"'}
    assert attributes(run)["Color"] == b'"red"'


@pytest.mark.parametrize(
    ("data", "shown"),
    [(b"[" * 60_000, "[["), (rb'"half a pair: \ud83d"', "half a pair: \ufffd")],
)
def test_values_that_nobody_could_write_down_are_refused(data: bytes, shown: str) -> None:
    kinds = {"Number": IndexedValueType.INDEXED_VALUE_TYPE_INT}
    written = Payload(metadata={"encoding": b"json/plain"}, data=data)
    said = fault({"Number": written}, kinds, "ns", Limits())
    assert said is not None
    assert said.startswith("invalid value for search attribute Number of type Int")
    assert shown in said.encode().decode()
