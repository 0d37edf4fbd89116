"""Do the benchmark's own parts pair, order and print as they say, and does the raw driver get right answers?

Run: `make test ARGS=tests/bench`.
"""
