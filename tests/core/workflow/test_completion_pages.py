"""Completions that come in pages: what is kept, and for how long."""

from temporalio.api.enums.v1 import EventType

from perdure.core.limits import Limits
from perdure.core.workflow.completion_pages import Page, PageKept
from tests.build.commands import start_timer
from tests.core.workflow.run import OneRun

_LOST = "ABORTED: workflow task completion buffer"


def _run(size_max: int = 1000) -> OneRun:
    run = OneRun(limits=Limits(completion_pages=True, workflow_task_completion_size=size_max))
    run.take()
    return run


def _page(run: OneRun, number: int, name: str, room: int | None = None) -> PageKept:
    reply = run.ask(
        run.completion(start_timer(name, 60), page=Page(number, is_last=False, room=room))
    )
    assert isinstance(reply, PageKept)
    return reply


def test_all_pages_are_carried_out_in_their_order() -> None:
    run = _run()
    _page(run, 1, "b")
    _page(run, 0, "a")
    run.complete(start_timer("c", 60), page=Page(2, is_last=True))
    assert list(run.state.timers) == ["a", "b", "c"]


def test_a_crash_loses_them_and_the_worker_is_told() -> None:
    run = _run()
    _page(run, 0, "a")
    run.crash()
    run.take()
    last = run.completion(start_timer("b", 60), page=Page(1, is_last=True))
    assert run.refused(last) == f"{_LOST} lost for scheduled event 2 attempt 1"
    _page(run, 0, "a")
    run.ask(last)
    assert list(run.state.timers) == ["a", "b"]


def test_what_finds_no_room_is_sent_again() -> None:
    run = _run()
    size = _page(run, 0, "a").pages.size
    request = run.completion(start_timer("b", 60), page=Page(1, is_last=False, room=size - 1))
    assert run.refused(request) == f"{_LOST} memory limit reached while buffering page 1"
    last = run.completion(start_timer("c", 60), page=Page(1, is_last=True))
    assert run.refused(last) == f"{_LOST} lost for scheduled event 2 attempt 1"
    _page(run, 0, "a", room=size)


def test_too_much_for_one_task_ends_the_run() -> None:
    size = start_timer("a", 60).ByteSize()
    run = _run(size_max=2 * size)
    _page(run, 0, "a")
    _page(run, 1, "b")
    refusal = run.refused(run.completion(start_timer("c", 60), page=Page(2, is_last=False)))
    assert refusal.startswith("INVALID_ARGUMENT: RequestTooLarge: ")
    assert not run.state.is_open
    kinds = [event.event_type for event in run.journal.events]
    assert kinds[-2:] == [
        EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
    ]
