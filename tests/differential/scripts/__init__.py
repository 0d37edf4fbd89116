"""The scripts, a file for a topic. Importing this registers all of them."""

from tests.differential.scripts import (
    activities,
    activity_timeouts,
    attributes,
    bad_commands,
    continuing,
    ending,
    histories,
    looking,
    namespaces,
    queries,
    refusals,
    signalling,
    starting,
    sticky,
    timers,
    workflow_tasks,
)

__all__ = [
    "activities",
    "activity_timeouts",
    "attributes",
    "bad_commands",
    "continuing",
    "ending",
    "histories",
    "looking",
    "namespaces",
    "queries",
    "refusals",
    "signalling",
    "starting",
    "sticky",
    "timers",
    "workflow_tasks",
]
