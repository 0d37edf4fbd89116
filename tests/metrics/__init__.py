"""Are metrics what Prometheus can read, under the real server's names?

Run: `make test ARGS=tests/metrics`.
"""
