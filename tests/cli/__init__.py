"""Does the command `perdure` take its flags, settings and files as documented, and start, stop and log as it should?

Run: `make test ARGS=tests/cli`.
"""
