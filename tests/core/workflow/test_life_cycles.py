"""The tables of life cycles name what there is. `OneRun.ask` checks every script against them."""

import pytest
from temporalio.api.enums.v1 import EventType

from perdure.core.workflow import records
from perdure.core.workflow.life_cycles import (
    ANYTHING,
    CHILD_CLOSES,
    LIFE_CYCLES,
    NONE,
    RUN_CLOSES,
    WORKFLOW_TASK,
    Row,
)
from perdure.core.workflow.machine import REQUESTS
from tests.core.workflow.life_cycle_watch import SEEN, watched
from tests.core.workflow.run import OneRun

CAUSES = {
    ANYTHING,
    CHILD_CLOSES,
    RUN_CLOSES,
    *(name.removeprefix("EVENT_TYPE_") for name in EventType.keys()),  # noqa: SIM118
    *(kind.__name__ for kind in records.Internal.__args__),
    *(request.__name__ for request in REQUESTS),
}


@pytest.mark.parametrize("life_cycle", LIFE_CYCLES, ids=lambda each: each.name)
def test_a_table_names_what_there_is_and_no_state_stands_alone(life_cycle):
    assert {row.cause for row in life_cycle.rows} <= CAUSES
    states = {state for row in life_cycle.rows for state in (row.before, row.after)} - {NONE}
    reached, grown = {NONE}, True
    while grown:
        further = {row.after for row in life_cycle.rows if row.before in reached}
        grown = not further <= reached
        reached |= further
    assert reached == states | {NONE}


def test_what_happens_to_a_task_is_seen():
    SEEN[WORKFLOW_TASK.name].clear()
    run = OneRun()
    run.take()
    assert {
        Row(NONE, "WORKFLOW_TASK_SCHEDULED", "scheduled"),
        Row("scheduled", "StartWorkflowTask", "started"),
    } == SEEN[WORKFLOW_TASK.name]


def test_what_is_in_no_table_is_noticed():
    run = OneRun()
    with pytest.raises(AssertionError, match="life cycle"), watched(run.run, object()):
        run.run.state.workflow_task = None
