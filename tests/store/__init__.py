"""Does every store (memory, SQLite, PostgreSQL) keep the promises of `store/port.py`?

One suite asks all of them the same, so a file is named after what it asks, not after a module.
Run: `make test ARGS=tests/store`; PostgreSQL is slow: `make check` leaves it out.
"""
