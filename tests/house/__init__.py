"""Do code, tests and pages keep the rules of the house, which no off-the-shelf linter knows?

Run: `make test ARGS=tests/house` (seconds; a part of `make check`).
"""
