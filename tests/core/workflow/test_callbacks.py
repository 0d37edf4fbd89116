"""Somebody outside wants to know how the workflow ends."""

import json
from typing import Any

import pytest
from temporalio.api.common.v1 import Callback
from temporalio.api.enums.v1 import CallbackState

from perdure.core.limits import Limits
from perdure.core.workflow.callbacks import RecordAttempt
from perdure.core.workflow.effects import InvokeCallback
from perdure.core.workflow.lifecycle.close import RESETTER, Terminate
from perdure.core.workflow.lifecycle.reset import NoteReset
from perdure.core.workflow.nexus_completion import Verdict, verdict
from perdure.core.workflow.options_update import AttachRequest
from tests.build.commands import complete_workflow, continue_as_new, fail_workflow
from tests.core.workflow.run import OneRun, seconds

ONE: list[dict[str, Any]] = [{"nexus": {"url": "http://host:1/path", "header": {"x-some": "v"}}}]


def closed(**fields: Any) -> OneRun:
    run = OneRun(completion_callbacks=ONE, **fields)
    run.work(complete_workflow())
    return run


def state_of(run: OneRun) -> str:
    [info] = run.described().callbacks
    return CallbackState.Name(info.state).removeprefix("CALLBACK_STATE_")


def failed(attempt: int = 0, *, may_retry: bool = True, chance: float = 1.0) -> RecordAttempt:
    return RecordAttempt(0, attempt, "no answer", may_retry, chance)


def test_it_stands_by_until_the_run_has_closed() -> None:
    run = OneRun(completion_callbacks=ONE)
    assert state_of(run) == "STANDBY"
    assert run.dispatched(InvokeCallback) == []
    run.work(complete_workflow())
    assert state_of(run) == "SCHEDULED"
    [effect] = run.dispatched(InvokeCallback)
    assert (effect.url, effect.attempt, effect.body) == ("http://host:1/path", 0, b'"done"')
    headers = dict(effect.headers)
    assert headers["x-some"] == "v"
    assert headers["nexus-operation-state"] == "succeeded"
    assert headers["nexus-operation-start-time"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert headers["nexus-operation-close-time"] == "2023-11-14T22:13:20Z"
    assert headers["content-type"] == "application/json"
    assert headers["nexus-link"].startswith("<temporal:///namespaces/ns/workflows/w/run-1/history?")


def test_it_is_told_once() -> None:
    run = closed()
    run.ask(RecordAttempt(0, 0, "", True, 0.5))
    assert state_of(run) == "SUCCEEDED"
    assert run.state.close_event == b"", "nobody needs it any more"
    rows = len(run.journal.rows)
    run.ask(failed())
    run.ask(failed(1))
    run.ask(RecordAttempt(5, 0, "", True, 0.5))
    assert len(run.journal.rows) == rows
    run.crash()
    assert run.dispatched(InvokeCallback) == []


def test_it_is_tried_again_ever_more_seldom() -> None:
    run = closed()
    pauses = []
    for attempt in range(14):
        run.ask(failed(attempt, chance=attempt % 2))
        [info] = run.described().callbacks
        assert (state_of(run), info.attempt) == ("BACKING_OFF", attempt + 1)
        assert info.last_attempt_failure.message == "no answer"
        pauses.append(seconds(info.next_attempt_schedule_time) - run.at())
        run.wait(pauses[-1])
        assert state_of(run) == "SCHEDULED"
        assert run.dispatched(InvokeCallback)[-1].attempt == attempt + 1
    assert [round(pause, 3) for pause in pauses[:5]] == [0.8, 2, 3.2, 8, 12.8]
    assert [round(pause) for pause in pauses[-2:]] == [2880, 3600]


def test_the_configuration_says_how_long_it_waits() -> None:
    limits = Limits(callback_retry_initial_ns=10**8, callback_retry_max_ns=3 * 10**8)
    run = closed(limits=limits)
    for attempt, pause in enumerate([0.1, 0.2, 0.3, 0.3]):
        run.ask(failed(attempt))
        [info] = run.described().callbacks
        assert seconds(info.next_attempt_schedule_time) - run.at() == pytest.approx(pause)
        run.wait(pause)


def test_what_must_not_be_tried_again_is_not() -> None:
    run = closed()
    run.ask(failed(may_retry=False))
    assert state_of(run) == "FAILED"
    [info] = run.described().callbacks
    assert info.last_attempt_failure.application_failure_info.non_retryable
    run.crash()
    assert (run.timers, run.effects) == ([], [])


def test_a_restart_waits_for_the_next_attempt() -> None:
    run = closed()
    run.ask(failed())
    run.crash()
    assert run.effects == []
    run.wait(1)
    assert [effect.attempt for effect in run.dispatched(InvokeCallback)] == [1]


def test_a_restart_tells_again_what_may_not_have_been_told() -> None:
    run = closed()
    run.crash()
    assert len(run.dispatched(InvokeCallback)) == 1


def test_the_run_that_follows_takes_it_over() -> None:
    run = OneRun(completion_callbacks=ONE)
    run.work(continue_as_new())
    assert state_of(run) == "STANDBY"
    assert run.dispatched(InvokeCallback) == []
    assert run.new_run is not None
    following = OneRun(started=run.new_run.start)  # type: ignore[arg-type]
    assert len(following.event(1).completion_callbacks) == 1
    assert state_of(following) == "STANDBY"


def test_the_run_that_it_is_reset_to_takes_it_over() -> None:
    run = OneRun(completion_callbacks=ONE)
    run.work()
    run.ask(NoteReset("run-2"))
    run.ask(Terminate("why", None, RESETTER))
    assert state_of(run) == "STANDBY"
    assert run.dispatched(InvokeCallback) == []


def test_a_run_that_makes_way_for_a_reset_of_another_has_ended() -> None:
    run = OneRun(completion_callbacks=ONE)
    run.work()
    run.ask(Terminate("why", None, RESETTER))
    assert state_of(run) == "SCHEDULED"
    [effect] = run.dispatched(InvokeCallback)
    assert json.loads(effect.body)["message"] == "operation terminated"
    # Its own reset, later, changes nothing about that.
    run.ask(NoteReset("run-3"))
    run.crash()
    assert len(run.dispatched(InvokeCallback)) == 1


def test_one_that_is_attached_links_to_its_request() -> None:
    run = OneRun()
    attached = AttachRequest("other-id", [Callback(nexus=Callback.Nexus(url="http://a/"))])
    run.ask(attached)
    run.ask(attached)
    assert len(run.described().callbacks) == 1
    run.terminate()
    [effect] = run.dispatched(InvokeCallback)
    link = dict(effect.headers)["nexus-link"]
    assert "referenceType=RequestIdReference&requestID=other-id" in link
    assert json.loads(effect.body)["message"] == "operation terminated"


def test_one_that_is_attached_while_a_worker_is_busy_is_known_at_once() -> None:
    run = OneRun()
    run.take()
    run.ask(AttachRequest("other-id", [Callback(nexus=Callback.Nexus(url="http://a/"))]))
    assert state_of(run) == "STANDBY"
    run.complete()
    assert len(run.described().callbacks) == 1, "it is not attached again when it gets its id"


def test_no_more_than_the_configuration_allows() -> None:
    run = OneRun(limits=Limits(max_callbacks=2), completion_callbacks=ONE)
    two = [Callback(nexus=Callback.Nexus(url="http://a/"))] * 2
    assert run.refused(AttachRequest("other-id", two)) == (
        "FAILED_PRECONDITION: cannot attach more than 2 callbacks to a workflow"
        " (1 callbacks already attached)"
    )


def test_a_failure_is_told_with_its_causes() -> None:
    run = OneRun(completion_callbacks=ONE)
    run.work(fail_workflow("outer", cause={"message": "inner"}))
    [effect] = run.dispatched(InvokeCallback)
    body = json.loads(effect.body)
    assert (body["message"], body["cause"]["message"]) == ("outer", "inner")
    assert "message" not in body["details"]
    assert dict(effect.headers)["nexus-operation-state"] == "failed"


JSON = "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((204, "", "", "", b""), Verdict("")),
        ((404, "", "", "", b""), Verdict("handler error (NOT_FOUND)", False)),
        ((404, "", "", "TRUE", b""), Verdict("handler error (NOT_FOUND)", True)),
        ((500, "", "", "false", b""), Verdict("handler error (INTERNAL)", False)),
        ((307, "Gone", "", "", b""), Verdict('unexpected response status: "307 Gone"')),
        (
            (418, "T", JSON, "", b'{"message":"m"}'),
            Verdict('unexpected response status: "418 T": m'),
        ),
        ((500, "", JSON, "", b"[nonsense"), Verdict("handler error (INTERNAL)")),
        ((500, "", JSON, "", b'["list"]'), Verdict("handler error (INTERNAL)")),
        ((500, "", JSON, "", b"[" * 60_000), Verdict("handler error (INTERNAL)")),
        (
            (418, "T", JSON, "", rb'{"message":"half a pair: \ud83d"}'),
            Verdict('unexpected response status: "418 T": half a pair: \ufffd'),
        ),
        (
            (
                500,
                "",
                JSON,
                "",
                b'{"metadata":{"type":"nexus.HandlerError"},"details":{"type":"X"}}',
            ),
            Verdict("handler error (X)"),
        ),
        (
            (
                500,
                "",
                JSON,
                "",
                b'{"message":"m","metadata":{"type":"nexus.HandlerError"},'
                b'"details":{"type":"CONFLICT","retryableOverride":true}}',
            ),
            Verdict("handler error (CONFLICT): m", True),
        ),
    ],
)
def test_what_an_answer_means(answer: tuple[int, str, str, str, bytes], expected: Verdict) -> None:
    assert verdict(*answer) == expected
