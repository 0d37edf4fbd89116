"""Descriptions of runs, open and closed. Activities and tasks are described where they are tested."""

from temporalio.api.enums.v1 import EventType, WorkflowExecutionStatus
from temporalio.api.update.v1 import Request
from temporalio.api.workflow.v1 import WorkflowExecutionOptions

from perdure.core.workflow.options_update import AttachRequest, UpdateOptions
from perdure.core.workflow.updates import AdmitUpdate
from tests.build.commands import (
    complete_workflow,
    continue_as_new,
    schedule_activity,
    start_child,
    start_timer,
)
from tests.core.workflow.run import OneRun, seconds


def test_a_run_that_has_just_begun() -> None:
    run = OneRun(workflow_execution_timeout="60s")
    run.wait(1)
    described = run.described()
    config = described.execution_config
    assert (config.task_queue.name, config.task_queue.kind) == ("q", 1)
    assert seconds(config.workflow_execution_timeout) == 60
    assert seconds(config.workflow_run_timeout) == 60
    assert seconds(config.default_workflow_task_timeout) == 10
    info = described.workflow_execution_info
    assert (info.execution.workflow_id, info.execution.run_id) == ("w", "run-1")
    assert (info.type.name, info.task_queue) == ("T", "q")
    assert info.status == WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING
    assert (seconds(info.start_time), seconds(info.execution_time)) == (0, 0)
    assert not info.HasField("close_time")
    assert not info.HasField("execution_duration")
    assert info.HasField("memo")
    assert info.HasField("search_attributes")
    assert not info.search_attributes.indexed_fields
    assert not info.auto_reset_points.points
    assert (info.root_execution.workflow_id, info.root_execution.run_id) == ("w", "run-1")
    assert info.first_run_id == "run-1"
    assert (info.history_length, info.state_transition_count) == (2, 1)
    assert info.history_size_bytes > 0
    extended = described.workflow_extended_info
    assert (seconds(extended.run_expiration_time), seconds(extended.original_start_time)) == (60, 0)
    assert seconds(extended.execution_expiration_time) == 60
    request = extended.request_id_infos["start-id"]
    assert (request.event_type, request.event_id) == (
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
        1,
    )
    assert not extended.cancel_requested
    assert described.HasField("pending_workflow_task")


def test_a_run_without_an_end_expires_at_the_zero_time() -> None:
    extended = OneRun().described().workflow_extended_info
    assert extended.run_expiration_time.ToJsonString() == "0001-01-01T00:00:00Z"
    assert not extended.HasField("execution_expiration_time")


def test_a_run_that_a_worker_has_seen() -> None:
    run = OneRun()
    run.wait(1)
    run.take()
    assert run.described().workflow_execution_info.history_length == 3, "as history shows it"
    run.wait(1)
    run.complete(start_timer("t", 5))
    described = run.described()
    info = described.workflow_execution_info
    [point] = info.auto_reset_points.points
    assert (point.run_id, point.first_workflow_task_completed_id) == ("run-1", 4)
    assert (seconds(point.create_time), point.resettable) == (2, True)
    assert not point.HasField("expire_time")
    build_ids = info.search_attributes.indexed_fields["BuildIds"]
    assert build_ids.data == b'["unversioned"]'
    assert build_ids.metadata["type"] == b"KeywordList"
    assert not described.HasField("pending_workflow_task")
    assert (info.history_length, info.state_transition_count) == (5, 2)


def test_a_closed_run() -> None:
    run = OneRun()
    run.work(start_timer("t", 5))
    run.wait(5)
    run.work(complete_workflow())
    described = run.described()
    info = described.workflow_execution_info
    assert info.status == WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED
    assert (seconds(info.close_time), seconds(info.execution_duration)) == (5, 5)
    assert info.history_length == 10
    assert not described.HasField("pending_workflow_task")
    assert not described.pending_activities
    assert not described.pending_children


def test_the_start_delay_is_no_part_of_the_duration() -> None:
    run = OneRun(workflow_start_delay="10s")
    run.wait(15)
    run.work(complete_workflow())
    info = run.described().workflow_execution_info
    assert (seconds(info.start_time), seconds(info.execution_time)) == (0, 10)
    assert seconds(info.execution_duration) == 5


def test_a_request_that_was_answered_with_this_run() -> None:
    run = OneRun()
    run.ask(AttachRequest("second-id"))
    assert run.history().endswith("3 WorkflowExecutionOptionsUpdated")
    assert run.event(3).attached_request_id == "second-id"
    attached = run.described().workflow_extended_info.request_id_infos["second-id"]
    assert (attached.event_type, attached.event_id, attached.buffered) == (
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED,
        3,
        False,
    )
    run.ask(AttachRequest("second-id"))
    assert run.history().endswith("3 WorkflowExecutionOptionsUpdated")


def test_a_request_that_came_while_a_worker_held_the_task() -> None:
    run = OneRun()
    run.take()
    run.ask(AttachRequest("second-id"))
    run.ask(AttachRequest("second-id"))
    attached = run.described().workflow_extended_info.request_id_infos["second-id"]
    assert attached.buffered
    run.complete()
    assert run.history().count("OptionsUpdated") == 1
    attached = run.described().workflow_extended_info.request_id_infos["second-id"]
    assert (attached.event_id, attached.buffered) == (5, False)


def test_an_override_of_the_versions_is_shown_until_it_is_taken_away() -> None:
    run = OneRun(versioning_override={"behavior": "VERSIONING_BEHAVIOR_AUTO_UPGRADE"})
    info = run.described().workflow_execution_info
    assert info.versioning_info.versioning_override.auto_upgrade
    assert "TemporalWorkflowVersioningBehavior" in info.search_attributes.indexed_fields
    run.ask(UpdateOptions(WorkflowExecutionOptions(), frozenset({"versioningOverride"}), "me"))
    assert run.event(3).unset_versioning_override
    info = run.described().workflow_execution_info
    assert info.HasField("versioning_info")
    assert not info.versioning_info.HasField("versioning_override")
    assert "TemporalWorkflowVersioningBehavior" not in info.search_attributes.indexed_fields


def test_what_was_pending_is_shown_when_the_run_has_closed() -> None:
    run = OneRun()
    run.work(
        schedule_activity("a", "q", input={"payloads": [{"data": "aW5wdXQ="}]}),
        start_child("c", "q"),
    )
    run.signal()
    open_ = run.described()
    run.terminate()
    closed = run.described()
    assert list(closed.pending_activities) == list(open_.pending_activities)
    assert list(closed.pending_children) == list(open_.pending_children)
    assert closed.pending_workflow_task == open_.pending_workflow_task
    assert run.state.left_pending is not None
    assert b"input" not in run.state.left_pending.activities[0].attributes
    run.crash()
    assert run.described() == closed


def test_a_task_that_was_for_an_update_is_shown_when_the_run_has_closed() -> None:
    run = OneRun()
    run.work()
    run.ask(AdmitUpdate("u", Request().SerializeToString()))
    open_ = run.described()
    assert open_.HasField("pending_workflow_task")
    run.terminate()
    run.crash()
    assert run.described().pending_workflow_task == open_.pending_workflow_task
    assert run.history().count("WorkflowTaskScheduled") == 1, "there was no event"


def test_the_reset_points_of_a_run_that_went_on_expire() -> None:
    run = OneRun()
    run.wait(5)
    run.work(continue_as_new())
    info = run.described().workflow_execution_info
    [point] = info.auto_reset_points.points
    assert seconds(point.expire_time) == 5 + 24 * 3600, "as long as its run is kept"
