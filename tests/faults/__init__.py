"""Is anything lost when servers, databases and pollers die again and again under a load?

Run: `make test ARGS=tests/faults` (slow).
"""
