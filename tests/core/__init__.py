"""Do the rules hold, with no clock, store, network or thread around them?

Scripts and properties drive one state machine by requests. A test is named after the module whose promise it tests.
Run: `make test ARGS=tests/core` (seconds; a part of `make check`).
"""
