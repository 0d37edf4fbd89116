"""A client asks the workflow to change something. Only what is accepted leaves a trace."""

from temporalio.api.protocol.v1 import Message
from temporalio.api.update.v1 import Acceptance, Meta, Outcome, Rejection, Request, Response

from perdure.core.errors import Code
from perdure.core.limits import Limits
from perdure.core.times import SECOND_NS
from perdure.core.workflow.effects import AnswerUpdate
from perdure.core.workflow.tasks.start import MESSAGES_BYTES_MAX
from perdure.core.workflow.updates import ACCEPTED, COMPLETED, AdmitUpdate
from tests.build.commands import (
    complete_workflow,
    protocol_message,
    schedule_activity,
    start_timer,
)
from tests.build.updates import update_messages
from tests.core.workflow.run import OneRun

ACCEPT = Acceptance(accepted_request_message_id="u/request", accepted_request_sequencing_event_id=5)
REJECT = Rejection()
DONE = Outcome()
DONE.success.SetInParent()
RESPOND = Response(meta=Meta(update_id="u"), outcome=DONE)


def asked() -> OneRun:
    """Return an idle run whose worker has just been given the update "u"."""
    run = OneRun()
    run.work()
    run.ask(AdmitUpdate("u", Request().SerializeToString()))
    run.news()
    [message] = run.take().messages
    assert (message.id, message.protocol_instance_id) == ("u/request", "u")
    return run


def says(*bodies: Acceptance | Rejection | Response) -> list[Message]:
    return update_messages("u", *bodies)


def told(run: OneRun) -> list[AnswerUpdate]:
    return run.dispatched(AnswerUpdate)


def test_an_update_is_accepted_and_done() -> None:
    run = asked()
    run.complete(messages=says(ACCEPT, RESPOND))
    assert run.news() == (
        "5 WorkflowTaskScheduled 6 WorkflowTaskStarted 7 WorkflowTaskCompleted"
        " 8 WorkflowExecutionUpdateAccepted 9 WorkflowExecutionUpdateCompleted"
    )
    assert (run.event(8).protocol_instance_id, run.event(9).accepted_event_id) == ("u", 8)
    assert told(run) == [AnswerUpdate("u", COMPLETED, DONE.SerializeToString())]


def test_an_accepted_update_outlives_a_crash() -> None:
    run = asked()
    run.complete(start_timer("t", 5), messages=says(ACCEPT))
    assert told(run) == [AnswerUpdate("u", ACCEPTED, b"")]
    run.wait(5)
    run.crash()
    run.work(messages=says(RESPOND))
    assert told(run) == [AnswerUpdate("u", COMPLETED, DONE.SerializeToString())]


def test_commands_say_where_the_news_of_an_update_belong() -> None:
    run = asked()
    accepted = protocol_message("u/0")
    run.complete(start_timer("a", 5), accepted, start_timer("b", 5), messages=says(ACCEPT, RESPOND))
    assert run.news().endswith(
        "8 TimerStarted 9 WorkflowExecutionUpdateAccepted 10 TimerStarted"
        " 11 WorkflowExecutionUpdateCompleted"
    )


def test_what_the_worker_does_not_mention_is_rejected() -> None:
    run = asked()
    run.complete()
    [settled] = told(run)
    failure = Outcome.FromString(settled.outcome).failure
    assert failure.application_failure_info.type == "UnprocessedUpdate"


def test_what_comes_after_makes_its_task_a_normal_one() -> None:
    run = asked()
    run.signal()
    assert run.news() == "5 WorkflowTaskScheduled"
    run.complete(messages=says(REJECT))
    assert run.news().startswith("6 WorkflowTaskStarted 7 WorkflowTaskCompleted")


def test_an_update_that_a_closing_run_accepts_is_aborted() -> None:
    """Nothing comes after the event that closes a run."""
    run = asked()
    run.complete(complete_workflow(), messages=says(ACCEPT))
    assert run.news().endswith("7 WorkflowTaskCompleted 8 WorkflowExecutionCompleted")
    [settled] = told(run)
    assert settled.refusal is not None
    assert settled.refusal.code is Code.NOT_FOUND
    assert settled.refusal.message == "workflow update was aborted by closing workflow"


def test_an_update_that_a_closing_run_rejects_is_rejected() -> None:
    run = asked()
    run.complete(complete_workflow(), messages=says(REJECT))
    [settled] = told(run)
    assert (settled.stage, settled.refusal) == (COMPLETED, None)


def test_an_update_that_a_closing_run_leaves_undone_has_failed() -> None:
    run = asked()
    run.complete(messages=says(ACCEPT))
    run.signal()
    run.work(complete_workflow(), messages=says(RESPOND))
    assert run.history().endswith("12 WorkflowTaskCompleted 13 WorkflowExecutionCompleted")
    settled = told(run)[-1]
    failure = Outcome.FromString(settled.outcome).failure
    assert failure.application_failure_info.type == "AcceptedUpdateCompletedWorkflow"


def test_an_update_that_was_not_accepted_is_lost_in_a_crash() -> None:
    run = asked()
    run.crash()
    assert run.run.pending_task is None
    assert run.history().endswith("4 WorkflowTaskCompleted")


def refused(*bodies: Acceptance | Rejection | Response) -> tuple[OneRun, str]:
    """Return a run whose worker has given these answers, and what it was told."""
    run = asked()
    message = run.refused(run.completion(messages=says(*bodies)))
    assert run.history().endswith("7 WorkflowTaskFailed 8 WorkflowTaskScheduled")
    return run, message.partition("BadUpdateWorkflowExecutionMessage: ")[2]


def test_who_waits_for_an_update_is_told_that_its_task_failed() -> None:
    run, _ = refused(RESPOND)
    [settled] = told(run)
    assert settled.refusal is not None
    assert settled.refusal.code is Code.FAILED_PRECONDITION
    assert not run.take().messages


def test_a_task_that_fails_again_tells_so_too() -> None:
    run, _ = refused(RESPOND)
    run.ask(AdmitUpdate("u", Request().SerializeToString()))
    run.take()
    run.refused(run.completion(messages=says(RESPOND)))
    assert [settled.refusal is not None for settled in told(run)] == [True, True]


def test_an_update_that_came_too_late_for_the_task_that_fails_comes_with_the_next() -> None:
    run = asked()
    run.ask(AdmitUpdate("v", Request().SerializeToString()))
    run.refused(run.completion(messages=says(RESPOND)))
    assert [message.protocol_instance_id for message in run.take().messages] == ["v"]


def test_answers_to_an_update_have_an_order() -> None:
    transition = "invalid state transition attempted for Update u: received"
    assert refused(RESPOND)[1] == f"{transition} *update.Response message while in state Sent"
    assert refused(ACCEPT, ACCEPT)[1].endswith("in state ProvisionallyAccepted")
    assert refused(ACCEPT, RESPOND, RESPOND)[1].endswith("in state ProvisionallyCompleted")
    assert refused(REJECT, ACCEPT)[1].endswith("in state ProvisionallyCompleted")


def test_answers_to_an_update_are_complete() -> None:
    assert refused(Acceptance())[1].endswith("accepted_request_sequencing_event_id is not set")
    assert refused(ACCEPT, Response())[1] == "invalid *update.Response: meta is not set"
    nobody = Response(meta=Meta(update_id="v"), outcome=DONE)
    assert refused(ACCEPT, nobody)[1] == "invalid *update.Response: meta.update_id != u"


def test_the_task_that_an_update_waits_for_is_shown() -> None:
    run = OneRun()
    run.work()
    run.ask(AdmitUpdate("u", Request().SerializeToString()))
    assert run.history().endswith("4 WorkflowTaskCompleted 5 WorkflowTaskScheduled")
    assert run.state.next_event_id == 5


def test_the_request_of_an_accepted_update_is_known() -> None:
    run = OneRun()
    run.work()
    run.ask(AdmitUpdate("u", Request(request_id="asked").SerializeToString()))
    run.work(messages=says(ACCEPT))
    assert run.state.request_ids["asked"].event_id == 8


def test_a_task_that_something_else_made_a_normal_one_has_no_name() -> None:
    run = asked()
    run.signal()
    run.complete(messages=says(ACCEPT, RESPOND))
    assert (run.event(6).identity, run.event(7).identity) == ("", "worker")


def admitted(run: OneRun, *names: str) -> None:
    for name in names:
        run.ask(AdmitUpdate(name, Request(request_id=name).SerializeToString()))


def test_only_so_many_updates_may_wait() -> None:
    run = OneRun(limits=Limits(max_in_flight_updates=2))
    run.work()
    admitted(run, "u", "v")
    assert "concurrent in-flight" in run.refused(AdmitUpdate("w", b""))
    admitted(run, "v")  # It is known.
    run.work(messages=says(ACCEPT))
    admitted(run, "w")  # "v" was passed over.
    assert "concurrent in-flight" in run.refused(AdmitUpdate("x", b""))
    run.work(messages=says(RESPOND))
    admitted(run, "x")


def test_a_run_takes_only_so_many_updates_in_all() -> None:
    run = OneRun(limits=Limits(max_total_updates=2))
    run.work()
    admitted(run, "u")
    run.work(messages=says(ACCEPT, RESPOND))
    admitted(run, "v")
    assert run.refused(AdmitUpdate("w", b"")).startswith("FAILED_PRECONDITION: The limit on the")
    run.work()  # "v" was passed over, and does not count.
    admitted(run, "w")


def test_updates_that_wait_must_not_be_too_large() -> None:
    run = OneRun(limits=Limits(max_in_flight_update_payloads=10))
    run.work()
    admitted(run, "u")
    assert "total payload size" in run.refused(AdmitUpdate("v", b"x" * 9))


def test_a_first_task_that_is_due_while_an_update_has_one_comes_after_it() -> None:
    run = OneRun(workflow_start_delay="5s")
    admitted(run, "u")
    run.take()
    run.wait(6)
    run.complete(messages=says(REJECT))
    assert run.history() == "1 WorkflowExecutionStarted 2 WorkflowTaskScheduled"
    run.work()


def test_what_is_noted_makes_the_task_of_an_update_a_normal_one() -> None:
    run = OneRun()
    run.work(schedule_activity("a", "q"))
    admitted(run, "u")
    run.take_activity()
    assert run.news().endswith("WorkflowTaskScheduled")


def test_more_is_told_than_that_an_update_is_accepted_when_its_run_ends() -> None:
    run = asked()
    accepted = protocol_message("u/0")
    run.complete(accepted, complete_workflow(), messages=says(ACCEPT))
    [settled] = told(run)
    assert settled.stage == COMPLETED


def test_a_rejection_that_makes_no_sense_fails_the_task() -> None:
    """Although it would leave no trace otherwise."""
    assert refused(REJECT, REJECT)[1].endswith("in state ProvisionallyCompleted")
    run = asked()
    message = run.refused(run.completion(messages=update_messages("other", REJECT)))
    assert "update other wasn't found on the server" in message
    assert run.history().endswith("7 WorkflowTaskFailed 8 WorkflowTaskScheduled")
    [settled] = told(run)
    assert settled.refusal is not None


def test_the_task_of_an_update_waits_on_the_workers_own_queue_for_as_long_as_any_other() -> None:
    run = OneRun()
    run.work(sticky_queue="s", sticky_schedule_to_start_ns=7 * SECOND_NS)
    run.news()
    run.ask(AdmitUpdate("u", Request().SerializeToString()))
    run.wait(6.9)
    assert run.news() == ""
    run.wait(0.1)
    assert run.news() == "5 WorkflowTaskScheduled 6 WorkflowTaskTimedOut 7 WorkflowTaskScheduled"
    assert (run.event(5).task_queue.name, run.event(7).task_queue.name) == ("s", "q")
    run.wait(100)
    assert run.news() == ""


def test_the_task_of_an_update_that_became_a_normal_one_is_given_up_all_the_same() -> None:
    run = OneRun()
    run.work()
    run.ask(AdmitUpdate("u", Request().SerializeToString()))
    run.signal()
    run.crash()
    run.news()
    run.wait(4.9)
    assert run.news() == ""
    run.wait(0.1)
    assert run.news() == "7 WorkflowTaskTimedOut 8 WorkflowTaskScheduled"


def test_a_heartbeat_brings_only_the_updates_that_are_new() -> None:
    run = asked()
    beaten = run.complete(force_new_task=True, return_new_task_nonce=9).new_task
    assert beaten is not None
    assert beaten.messages == ()
    run.ask(AdmitUpdate("v", Request().SerializeToString()))
    beaten = run.complete(force_new_task=True, return_new_task_nonce=10).new_task
    assert beaten is not None
    assert [message.protocol_instance_id for message in beaten.messages] == ["v"]
    run.wait(10)
    assert [message.protocol_instance_id for message in run.take().messages] == ["u", "v"]


def test_a_new_worker_is_not_sent_more_at_once_than_it_can_take() -> None:
    """The one before got it bit by bit, with its heartbeats."""
    run = OneRun()
    run.work()
    for update_id in "abcd":
        request = Request(meta=Meta(update_id=update_id, identity="x" * (MESSAGES_BYTES_MAX // 2)))
        run.ask(AdmitUpdate(update_id, request.SerializeToString()))
    sent = len(run.take().messages)
    assert sent == 1
    for nonce in range(7, 10):
        reply = run.complete(force_new_task=True, return_new_task_nonce=nonce)
        sent += len(reply.new_task.messages)
        run.task = reply.new_task
    assert sent == 4
    run.wait(11)
    assert len(run.take().messages) == 1
