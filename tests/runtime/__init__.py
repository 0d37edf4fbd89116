"""Does a node keep its promises when time passes, commits fail, callers leave and memory is short?

Nodes in this process (`nodes.py`), on a clock that is set by hand and stores that fail on purpose.
Run: `make test ARGS=tests/runtime` (a minute; a part of `make check`).
"""
