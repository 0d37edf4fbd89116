"""A check of the simulator holds for what the server may do."""

import pytest

from perdure.testing.simulator.checks_promises import shared_past
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
