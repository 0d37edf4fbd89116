"""Each word of a story fails when the expectation does not come true."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from perdure.testing.simulator.virtual_loop import VirtualLoop
from tests.build.commands import complete_workflow, start_timer
from tests.differential import scripts
from tests.differential.registry import SCRIPTS
from tests.differential.wire import Refused
from tests.stories.core_stage import CoreServer
from tests.stories.expectations import check_history, check_message
from tests.stories.language import STORIES, Scene

assert scripts  # Importing it registers the stories, too.


def history() -> list[HistoryEvent]:
    """Return a history in which a timer of 5 s fires."""
    started = HistoryEvent(event_id=1, event_type=EventType.EVENT_TYPE_TIMER_STARTED)
    started.timer_started_event_attributes.timer_id = "t"
    started.timer_started_event_attributes.start_to_fire_timeout.FromSeconds(5)
    fired = HistoryEvent(event_id=2, event_type=EventType.EVENT_TYPE_TIMER_FIRED)
    fired.timer_fired_event_attributes.timer_id = "t"
    fired.event_time.FromSeconds(5)
    return [started, fired]


@pytest.mark.parametrize(
    "expected",
    [
        "1 TimerStarted timer_id=t start_to_fire_timeout=5s 2 TimerFired +5s",
        "2 TimerFired",
    ],
)
def test_a_history_with_these_events_at_its_end_passes(expected: str) -> None:
    check_history(history(), expected, {}, 0.0)


@pytest.mark.parametrize(
    "expected",
    [
        "1 TimerStarted",
        "1 TimerStarted 2 TimerCanceled",
        "2 TimerFired 3 WorkflowTaskScheduled",
        "3 WorkflowTaskScheduled",
        "2 TimerFired timer_id=u",
        "2 TimerFired +4.9s",
        "2 TimerFired +5.1s",
    ],
)
def test_a_history_with_other_events_fails(expected: str) -> None:
    with pytest.raises(AssertionError):
        check_history(history(), expected, {}, 0.0)


def test_a_choice_is_told_by_the_name_of_the_field_that_is_set() -> None:
    check_message(history()[0], "attributes=timer_started_event_attributes", {})
    with pytest.raises(AssertionError, match="timer_started"):
        check_message(history()[0], "attributes=timer_fired_event_attributes", {})


def test_on_a_real_clock_an_event_may_be_late_but_not_early() -> None:
    check_history(history(), "2 TimerFired +4.9s", {}, None)
    with pytest.raises(AssertionError, match="came 5"):
        check_history(history(), "2 TimerFired +5.1s", {}, None)


def told(tell: Callable[[Scene], Awaitable[None]]) -> None:
    loop = VirtualLoop(random.Random(1))

    async def play() -> None:
        await tell(Scene(CoreServer(loop), "told"))

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(play())


def test_a_call_that_is_refused_ends_a_story_that_does_not_say_so() -> None:
    async def tell(scene: Scene) -> None:
        workflow = await scene.started()
        await workflow.work(complete_workflow())
        await workflow.signal()

    with pytest.raises(Refused, match="workflow execution already completed"):
        told(tell)


def test_a_call_that_should_be_refused_and_is_not_is_noticed() -> None:
    async def tell(scene: Scene) -> None:
        workflow = await scene.started()
        await scene.refused(workflow.signal(), "NOT_FOUND: workflow execution already completed")

    with pytest.raises(AssertionError, match="not refused"):
        told(tell)


def test_a_refusal_in_other_words_is_noticed() -> None:
    async def tell(scene: Scene) -> None:
        workflow = await scene.started()
        await workflow.work(complete_workflow())
        await scene.refused(workflow.signal(), "NOT_FOUND: gone")

    with pytest.raises(AssertionError, match="already completed"):
        told(tell)


def test_an_answer_that_tells_otherwise_is_noticed() -> None:
    async def tell(scene: Scene) -> None:
        workflow = await scene.started()
        await workflow.tells("workflow_execution_info.status=COMPLETED")

    with pytest.raises(AssertionError, match="RUNNING"):
        told(tell)


def test_a_worker_that_has_nothing_to_do_is_noticed() -> None:
    async def tell(scene: Scene) -> None:
        workflow = await scene.started()
        await workflow.work(start_timer("t", 1000))
        await workflow.work()

    with pytest.raises(AssertionError, match="no workflow task"):
        told(tell)


def test_every_story_is_a_script_of_the_differential_suite() -> None:
    assert STORIES
    assert STORIES.items() <= SCRIPTS.items()
