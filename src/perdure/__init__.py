"""A durable-execution server that speaks the Temporal API.

From the bottom up:

    core/       the rules, pure: what a request or a timer does to a workflow run
    settings    what an operator can set (with dynamic_config)
    logging     how log lines look
    store/      where rows are kept: memory, SQLite, PostgreSQL
    runtime/    the shell around the rules: group commit, leases, timers, task queues
    frontend/   the API as gRPC: validation, errors, tokens
    server      puts the parts together (rebuild: some of them, for a command)
    testing/    a simulated world for all of it
    cli/        the `perdure` command

An import runs up this list only: `core` imports none of the others. Nothing is imported here: `import perdure` is free.
"""

__version__ = "0.1.0"
