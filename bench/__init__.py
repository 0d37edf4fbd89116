"""Measurements of perdure beside the real Temporal server. Timings live here and never in a test's assertion.

Why it exists: speed and footprint are promises of this project, and on a shared machine only figures taken in turn, in
one run, and compared pair by pair say anything. `docs/benchmarks.md` explains how to read them.

It holds nothing that the server needs. Nothing under `src/` imports this package, and this package reaches a
server only over its public API and through `/proc`. (But `retention` fills the database of a server that is yet
to start: closed workflows take two days to become two days old. So does `visibility`, for a million workflows take
hours to run; and it asks PostgreSQL for the plans of the store's statements.)

In reading order:
    usage            what a process and its children cost
    cores            who runs on which core
    servers          starts and stops the servers
    database         a PostgreSQL of its own for a run
    lab              where it all happens: a directory, a database, client processes
    scenarios        what a worker does while it is measured
    load             the client process: worker and load generator
    compare          rounds over the servers, in turn
    report           medians, ratios, tables, JSON
    real_on_postgres the real server's configuration and tables in PostgreSQL
    go_programs      builds the raw driver (in `driver/`) and the real server for PostgreSQL
    raw              runs the raw driver, and the probe beside it
    contenders       the servers that take turns: this perdure, another one, the real server
    per_core         CPU and memory on one core, without an SDK
    per_core_report  its tables, and the figures that are wanted
    growth           one thing grows large, with a probe beside it
    long_history     one run of 10,000 events
    idle_runs        100,000 open workflows that only wait
    retention        starts beside a backlog of closed workflows that is removed
    many_executions  a database with a million executions, as the server would have left it
    visibility       lists and counts by filters among a million executions in PostgreSQL
    profiling        where the time goes
    __main__         the command line
"""
