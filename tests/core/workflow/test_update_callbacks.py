"""Somebody else is told what comes of an update."""

from temporalio.api.common.v1 import Callback
from temporalio.api.enums.v1 import CallbackState
from temporalio.api.update.v1 import Acceptance, Meta, Outcome, Request, Response

from perdure.core.limits import Limits
from perdure.core.workflow.callbacks import RecordAttempt
from perdure.core.workflow.effects import InvokeCallback
from perdure.core.workflow.updates import AdmitUpdate
from tests.build.commands import continue_as_new, payloads
from tests.build.updates import update_messages
from tests.core.workflow.lifecycle.test_reset import reset
from tests.core.workflow.run import OneRun

_ACCEPT = Acceptance(
    accepted_request_message_id="u/request", accepted_request_sequencing_event_id=5
)
_DONE = Response(meta=Meta(update_id="u"), outcome=Outcome(success=payloads("done")))
_LIMITS = Limits(max_update_callbacks=3)


def _ask(request_id: str = "first", count: int = 1) -> AdmitUpdate:
    callbacks = [
        Callback(nexus=Callback.Nexus(url=f"http://host:1/{request_id}/{number}"))
        for number in range(count)
    ]
    request = Request(
        meta=Meta(update_id="u"), request_id=request_id, completion_callbacks=callbacks
    )
    return AdmitUpdate("u", request.SerializeToString(), "", request_id, callbacks)


def _accepted() -> OneRun:
    run = OneRun(limits=_LIMITS)
    run.work()
    run.ask(_ask())
    run.work(messages=update_messages("u", _ACCEPT))
    return run


def _states(run: OneRun) -> list[str]:
    return [
        CallbackState.Name(each.state).removeprefix("CALLBACK_STATE_")
        for each in run.described().callbacks
    ]


def _urls(run: OneRun) -> list[str]:
    return [effect.url for effect in run.dispatched(InvokeCallback)]


def test_it_stands_by_until_the_update_is_completed() -> None:
    run = _accepted()
    assert (_states(run), _urls(run)) == (["STANDBY"], [])
    run.signal()
    run.work(messages=update_messages("u", _DONE))
    assert (_states(run), _urls(run)) == (["SCHEDULED"], ["http://host:1/first/0"])
    run.ask(RecordAttempt(0, 0, "", True, 0.5))
    assert _states(run) == ["SUCCEEDED"]
    run.terminate()
    assert _urls(run) == ["http://host:1/first/0"], "it is told once"


def test_a_crash_forgets_no_call_and_no_time_to_try_again() -> None:
    run = _accepted()
    run.signal()
    run.work(messages=update_messages("u", _DONE))
    run.crash()
    assert _urls(run) == ["http://host:1/first/0"]
    run.ask(RecordAttempt(0, 0, "no answer", True, 0.5))
    assert _states(run) == ["BACKING_OFF"]
    run.crash()
    assert _urls(run) == []
    run.wait(3)
    assert _urls(run) == ["http://host:1/first/0"]


def test_the_next_run_knows_nothing_of_it() -> None:
    run = _accepted()
    run.signal()
    run.work(continue_as_new())
    [effect] = run.dispatched(InvokeCallback)
    assert b"AcceptedUpdateCompletedWorkflow" in effect.body
    assert run.new_run is not None
    assert not run.new_run.start.attributes.completion_callbacks  # type: ignore[attr-defined]


def test_what_is_attached_while_a_worker_has_it_is_kept_when_it_is_accepted() -> None:
    run = OneRun(limits=_LIMITS)
    run.work()
    run.ask(_ask())
    run.take()
    for _ in range(2):
        run.ask(_ask("second"))
    run.news()
    run.complete(messages=update_messages("u", _ACCEPT))
    assert "8 WorkflowExecutionUpdateAccepted 9 WorkflowExecutionOptionsUpdated" in run.news()
    assert [each.request_id for each in run.state.callbacks] == ["first", "second"]
    run.ask(_ask("second"))
    assert run.news() == ""


def test_there_is_a_limit_for_each_update() -> None:
    run = _accepted()
    refusal = run.refused(_ask("second", 3))
    assert refusal == (
        "FAILED_PRECONDITION: cannot attach more than 3 callbacks to update"
        ' "u" (1 callbacks already attached)'
    )
    run.ask(_ask("second", 2))
    assert len(run.state.callbacks) == 3
    sent = OneRun(limits=_LIMITS)
    sent.work()
    sent.ask(_ask())
    sent.ask(_ask("second"))
    assert sent.refused(_ask("third", 2)).endswith("(2 callbacks already attached)")
    other = OneRun(limits=Limits(max_callbacks=2))
    other.work()
    assert other.refused(_ask("first", 3)).startswith("FAILED_PRECONDITION: cannot attach more")


def test_a_reset_tells_nobody_a_second_time() -> None:
    """Also who was attached while a worker completed the update: the history has that after its end."""
    run = _accepted()
    run.signal()
    run.take()
    run.ask(_ask("second"))
    run.complete(messages=update_messages("u", _DONE))
    assert _urls(run) == ["http://host:1/first/0", "http://host:1/second/0"]
    assert run.history().endswith(
        "13 WorkflowExecutionUpdateCompleted 14 WorkflowExecutionOptionsUpdated"
        " 15 WorkflowTaskScheduled"
    )
    run.work()
    again = reset(run, 17)
    again.terminate()
    assert _urls(again) == []
