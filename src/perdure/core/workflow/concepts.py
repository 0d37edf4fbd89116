"""Every concept of workflows, in the order in which they give their timers and effects and learn that a run closes."""

from perdure.core.execution.concept import Concept, Rules
from perdure.core.workflow import (
    callbacks,
    cancellation,
    children,
    completion,
    external_workflows,
    markers,
    options_update,
    queries,
    returning,
    search_attributes,
    signals,
    timers,
    updates,
)
from perdure.core.workflow.activities import attempts, control, heartbeats, option_changes, timeouts
from perdure.core.workflow.activities import commands as activity_commands
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.lifecycle import close, continue_as_new, deletion, pause, reset
from perdure.core.workflow.lifecycle import start as start_run
from perdure.core.workflow.state import Run
from perdure.core.workflow.tasks import fail, reported_problems, schedule, start

CONCEPTS: tuple[Concept[HistoryStep, Run], ...] = (
    start_run.CONCEPT,
    close.CONCEPT,
    schedule.CONCEPT,
    fail.CONCEPT,
    start.CONCEPT,
    completion.CONCEPT,
    timers.CONCEPT,
    attempts.CONCEPT,
    heartbeats.CONCEPT,
    timeouts.CONCEPT,
    activity_commands.CONCEPT,
    option_changes.CONCEPT,
    control.CONCEPT,
    returning.CONCEPT,
    signals.CONCEPT,
    cancellation.CONCEPT,
    children.CONCEPT,
    external_workflows.CONCEPT,
    continue_as_new.CONCEPT,
    reset.CONCEPT,
    options_update.CONCEPT,
    pause.CONCEPT,
    callbacks.CONCEPT,
    markers.CONCEPT,
    reported_problems.CONCEPT,
    search_attributes.CONCEPT,
    updates.CONCEPT,
    queries.CONCEPT,
    deletion.CONCEPT,
)
RULES: Rules[HistoryStep, Run] = Rules(CONCEPTS)
