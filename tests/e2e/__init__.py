"""Do workers of the Python SDK and the official command line work against a whole server, on every store?

Run: `make test ARGS=tests/e2e` (slow).
"""
