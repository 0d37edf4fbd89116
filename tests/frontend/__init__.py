"""Does a server answer each call as the API says: bounds, tokens, limits, ids that come again?

A whole server in this process (`tests/served.py`) and a client of it over gRPC.
Run: `make test ARGS=tests/frontend`; what compares with the real server is slow: `make check` leaves it out.
"""
