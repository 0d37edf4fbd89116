"""Do the real server and perdure answer the same script of calls alike?

Run: `make test ARGS=tests/differential` (slow), or some scripts by name: `python -m tests.differential NAME-PART …`.

In reading order: `wire` calls a server by request message, `transcript` keeps what was answered, `normalise` takes out of
it what differs from run to run, `commands` and `world` are what a script is written with, `registry` collects the scripts
of `scripts/`, `servers` starts the two, `session` runs scripts beside one another, `compare` tells where they part.
"""
