"""Somebody asks the workflow something; nothing of it is recorded."""

from temporalio.api.enums.v1 import QueryRejectCondition, WorkflowExecutionStatus
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.update.v1 import Request

from perdure.core.execution.outcome import Effect
from perdure.core.limits import Limits
from perdure.core.times import SECOND_NS
from perdure.core.workflow.effects import AnswerQuery, DispatchQuery
from perdure.core.workflow.queries import AbandonQuery, Query
from perdure.core.workflow.updates import AdmitUpdate
from tests.build.commands import complete_workflow
from tests.core.workflow.run import T0_NS, OneRun

ENCODED = WorkflowQuery(query_type="state").SerializeToString()
NOT_OPEN = QueryRejectCondition.QUERY_REJECT_CONDITION_NOT_OPEN
NOT_CLEAN = QueryRejectCondition.QUERY_REJECT_CONDITION_NOT_COMPLETED_CLEANLY


def asking(query_id: str = "1") -> Query:
    return Query(query_id, WorkflowQuery(query_type="state"), QueryRejectCondition.ValueType(0))


def sent(run: OneRun) -> list[Effect]:
    return [e for e in run.effects if isinstance(e, DispatchQuery | AnswerQuery)]


def direct(query_id: str = "1", sticky: str = "") -> DispatchQuery:
    return DispatchQuery(query_id, "q", sticky, ENCODED, 5 * SECOND_NS if sticky else 0)


def test_an_idle_workflow_is_asked_directly() -> None:
    run = OneRun()
    run.work()
    run.news()
    assert run.query() is None
    assert sent(run) == [direct()]
    assert run.news() == ""
    assert run.run.pending_task is None


def test_a_worker_with_the_workflow_in_its_cache_is_asked_first() -> None:
    run = OneRun()
    run.work(sticky_queue="s", sticky_schedule_to_start_ns=5 * SECOND_NS)
    run.query()
    assert sent(run) == [direct(sticky="s")]


def test_a_query_goes_with_a_task_that_is_scheduled() -> None:
    run = OneRun(limits=Limits(max_buffered_queries=9))
    run.query("1")
    run.query("2")
    assert sent(run) == []
    assert run.take().queries == {"1": ENCODED, "2": ENCODED}
    run.complete(query_results={"1": b"one", "2": b"two"})
    assert sent(run) == [AnswerQuery("1", b"one"), AnswerQuery("2", b"two")]


def test_what_the_worker_leaves_unanswered_is_asked_again_directly() -> None:
    run = OneRun(limits=Limits(max_buffered_queries=9))
    run.query("1")
    run.query("2")
    run.take()
    run.complete(query_results={"2": b"two"})
    assert sent(run) == [AnswerQuery("2", b"two"), direct("1")]


def test_a_query_goes_with_the_next_task_if_there_is_one() -> None:
    run = OneRun()
    run.take()
    run.query()
    run.signal()
    run.complete()
    assert sent(run) == []
    assert run.take().queries == {"1": ENCODED}
    run.complete(query_results={"1": b"one"})
    assert sent(run) == [AnswerQuery("1", b"one")]


def test_a_query_that_waited_for_a_task_that_failed_goes_with_the_next_one() -> None:
    run = OneRun()
    run.query()
    run.take()
    run.fail_task()
    assert run.take().queries == {"1": ENCODED}


def test_a_query_sees_the_end_of_the_run() -> None:
    run = OneRun()
    run.take()
    run.query()
    run.complete(complete_workflow())
    assert sent(run) == [direct()]
    run.query("2")
    assert sent(run) == [direct(), direct("2")], "a closed run answers, too"


def test_nobody_answers_for_a_query_that_nobody_asked() -> None:
    run = OneRun()
    run.take()
    run.complete(query_results={"9": b"?"})
    assert sent(run) == []


def test_a_caller_that_is_gone_is_not_answered() -> None:
    run = OneRun()
    run.query()
    run.ask(AbandonQuery("1"))
    assert run.take().queries == {}
    run.complete(query_results={"1": b"one"})
    assert sent(run) == []


def test_a_workflow_that_has_not_begun_cannot_be_asked() -> None:
    run = OneRun(workflow_start_delay="100s")
    assert run.refused(asking()) == "FAILED_PRECONDITION: Workflow task is not scheduled yet."
    run.terminate()
    assert run.refused(asking()) == (
        "FAILED_PRECONDITION: Workflow execution closed before WorkflowTaskStarted event"
    )


def test_a_workflow_that_ended_before_it_began_cannot_be_asked() -> None:
    run = OneRun()
    run.terminate()
    assert run.refused(asking()) == (
        "FAILED_PRECONDITION: Workflow execution closed before WorkflowTaskStarted event"
    )


def test_a_workflow_whose_task_keeps_failing_cannot_be_asked() -> None:
    run = OneRun()
    run.take()
    run.fail_task()
    assert run.query() is None, "one failure is no habit"
    run.take()
    run.fail_task()
    assert run.refused(asking()) == (
        "FAILED_PRECONDITION: Unable to query workflow due to Workflow Task in failed state."
    )


def test_the_caller_may_not_want_an_answer_from_a_closed_run() -> None:
    run = OneRun(limits=Limits(max_buffered_queries=9))
    assert run.query("1", NOT_OPEN) is None
    assert run.query("2", NOT_CLEAN) is None
    run.work(complete_workflow())
    completed = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED
    assert run.query("3", NOT_OPEN).status == completed
    before = len(sent(run))
    assert run.query("4", NOT_CLEAN) is None
    assert sent(run)[before:] == [direct("4")]


def test_a_rejection_comes_before_every_other_reason() -> None:
    run = OneRun()
    run.terminate()
    terminated = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED
    assert run.query("1", NOT_OPEN).status == terminated
    assert run.query("2", NOT_CLEAN).status == terminated


def test_so_many_queries_wait_and_no_more() -> None:
    run = OneRun(limits=Limits(max_buffered_queries=1))
    run.query("1")
    assert run.refused(asking("2")) == (
        "RESOURCE_EXHAUSTED: consistent query buffer is full, this may be caused by too many queries and"
        " workflow not able to process query fast enough"
    )


def test_a_query_that_waited_for_a_run_that_is_terminated_is_asked_directly() -> None:
    run = OneRun()
    run.work()
    run.signal()
    run.query()
    run.terminate()
    assert sent(run) == [direct()]


def test_a_query_that_waited_for_a_run_that_never_began_is_refused() -> None:
    run = OneRun()
    run.query()
    run.terminate()
    [answer] = sent(run)
    assert isinstance(answer, AnswerQuery)
    assert (answer.query_id, answer.result) == ("1", None)
    assert answer.refusal is not None
    assert answer.refusal.message == ("Workflow execution closed before WorkflowTaskStarted event")


def waiting(until_s: float) -> Query:
    query = WorkflowQuery(query_type="state")
    return Query("1", query, QueryRejectCondition.ValueType(0), T0_NS + round(until_s * SECOND_NS))


def test_a_query_waits_for_a_first_task_that_is_due_before_its_caller_gives_up() -> None:
    run = OneRun(workflow_start_delay="5s")
    run.ask(waiting(5))
    run.signal()
    assert sent(run) == []
    run.wait(5)
    assert run.take().queries == {"1": ENCODED}
    run.complete(query_results={"1": b"one"})
    assert sent(run) == [AnswerQuery("1", b"one")]


def test_a_query_whose_caller_gives_up_before_the_first_task_is_refused_at_once() -> None:
    run = OneRun(workflow_start_delay="5s")
    assert run.refused(waiting(4.9)) == "FAILED_PRECONDITION: Workflow task is not scheduled yet."
    run.ask(AdmitUpdate("u", Request().SerializeToString()))
    run.ask(waiting(4.9))
    assert list(run.take().queries) == ["1"]


def test_a_query_that_waits_for_the_first_task_is_refused_if_the_run_is_closed() -> None:
    run = OneRun(workflow_start_delay="5s")
    run.ask(waiting(5))
    run.terminate()
    [answer] = sent(run)
    assert isinstance(answer, AnswerQuery)
    assert answer.refusal is not None
