"""PostgreSQL 15 or newer, which several nodes may share.

`migrations` sets the tables up. `statements.py` is the SQL, with `filters.py` for list filters. `connections.py` opens
connections and translates their errors. `renewal.py` renews leases over a connection of its own. `store.py` keeps the
promises of `store.port` with these.
"""
