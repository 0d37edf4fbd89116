"""The workflow engine: how one workflow run moves from state to state.

Read in this order:

    outcome.py        what a transition hands to the shell: a journal row, timers, effects, a reply
    state.py          `RunState`: everything that is known about a run, in one place (with started_task.py)
    records.py        what a journal row holds besides history events
    machine.py        `transition`, the one entry point; `fold`, for recovery; `owed` and `needed_timers`
    step.py           the verbs that the rules below are written in

Then the rules, one file per concept. Each has the same sections in the same order: what can be asked, what a worker
can command, how records change the state, what must hold, the tables.

    starting.py           what a start request means, given the runs before
    execution.py          a run starts and closes
    workflow_task.py      a worker is asked to move the workflow forward (with workflow_task_timers.py)
    workflow_task_failures.py  a worker does not do it, or not in time
    handing_out.py        a worker is given that task
    completion.py         it did: its commands are carried out (with completion_pages.py)
    activities.py         something is done in the outside world (with activity_attempts.py, activity_commands.py,
                          activity_options.py, activity_retries.py, activity_timeouts.py, activity_control.py,
                          activity_changes.py)
    returning.py          a task comes back: the worker was gone before it had it
    children.py           it starts another workflow (with child_options.py, reach.py)
    externals.py          it signals another workflow, or asks it to stop
    updates.py            somebody asks it to change something, and wants to know what came of it
    timers.py             the workflow sleeps
    signals.py            a message arrives
    cancellation.py       somebody asks it to stop
    queries.py            somebody asks it something
    continuation.py       it asks to go on as a new run
    succession.py         it goes on as a new run: what every such run takes over
    resetting.py          it is taken back to one of its workflow tasks
    options.py            an operator changes how it is treated, or another start is attached to it (with versioning.py)
    pausing.py            an operator stops it for a while (with known_requests.py)
    callbacks.py          somebody outside is told how it ended, or what came of an update
                          (with nexus_completion.py, update_callbacks.py)
    markers.py            it leaves a note to itself
    problems.py           its workflow tasks fail again and again
    failures.py           failures that the server itself makes
    history_limits.py     its history, or its state, has become too large (with state_size.py)
    external_payloads.py  what its clients keep elsewhere
    deletion.py           it is forgotten
    search_attributes.py  it says what lists show of it
    description.py        what a client is told of a run (with listing.py)
    life_cycles.py        what a task, an activity, a child and an update can become: for tests and diagrams
    validation.py         checks that several commands share
    times.py              the API's times and durations as nanoseconds

Nothing here waits, reads a clock, draws a random number, writes a log or knows a database.
"""
