"""A check of the simulator holds for what the server may do, and for nothing else."""

import pytest
from temporalio.api.workflowservice.v1 import PollActivityTaskQueueResponse

from perdure.testing.simulator.checks_promises import check_repeated, shared_past
from perdure.testing.simulator.journal_view import JournalView
from perdure.testing.simulator.witness import Witness
from tests.core.workflow.lifecycle.test_reset import reset
from tests.core.workflow.run import OneRun


@pytest.mark.parametrize(("event_id", "shared"), [(4, 3), (5, 4)])
def test_a_reset_shares_all_but_the_task_that_it_begins_itself(event_id, shared):
    """Taken back to before the task was begun, it begins one of its own, which is another one than the base run's."""
    base = OneRun()
    base.signal()
    base.work()
    base.signal()
    new = reset(base, event_id)
    events = new.journal.events
    assert shared_past("run-2", events) == shared
    assert events[:shared] == base.journal.events[:shared]
    assert events[shared] != base.journal.events[shared]


def test_a_reset_answers_a_start_that_is_repeated_and_no_other_run_does():
    """The base run hands the request id of its start on to its reset, as in the real server."""
    base = OneRun()
    base.work()
    ever = {
        "run-1": JournalView(state=base.state),
        "run-2": JournalView(state=reset(base, 4).state),
    }
    assert ever["run-2"].state.start_request_id == ever["run-1"].state.start_request_id
    check_repeated(ever, "run-1", "run-1")
    check_repeated(ever, "run-1", "run-2")
    with pytest.raises(AssertionError, match="one start, two runs"):
        check_repeated({**ever, "run-3": JournalView(state=OneRun().state)}, "run-1", "run-3")


def attempt(number, shown=0):
    """Return the task of an activity that is shown this heartbeat."""
    task = PollActivityTaskQueueResponse(activity_id="0", attempt=number)
    task.workflow_execution.run_id = "run-1"
    if shown:
        task.heartbeat_details.payloads.add(data=str(shown).encode())
    return task


def beat_by_two_workers(witness, first, second):
    """Each sends a heartbeat; the later one is acknowledged first, so the earlier one is what the server keeps."""
    earlier, later = witness.next_beat(first), witness.next_beat(second)
    witness.took_beat(second, later)
    witness.took_beat(first, earlier)


def test_two_workers_with_one_number_may_report_one_after_the_other():
    """The activity was begun anew, so a second attempt came again: a token does not tell one from the other."""
    witness = Witness()
    first, second = attempt(2), attempt(2)
    witness.got_attempt(first)
    witness.begun_anew["run-1", "0"] += 1
    witness.got_attempt(second)
    beat_by_two_workers(witness, first, second)
    witness.got_attempt(attempt(3, shown=1))
    with pytest.raises(AssertionError, match="is shown heartbeat 0"):
        witness.got_attempt(attempt(4))


def test_a_worker_of_an_earlier_number_may_not_report():
    witness = Witness()
    first, second = attempt(1), attempt(2)
    witness.got_attempt(first)
    witness.begun_anew["run-1", "0"] += 1
    witness.got_attempt(second)
    beat_by_two_workers(witness, first, second)
    with pytest.raises(AssertionError, match="is shown heartbeat 1, and not 2"):
        witness.got_attempt(attempt(3, shown=1))
