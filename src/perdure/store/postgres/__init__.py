"""PostgreSQL 15 or newer, which several nodes may share.

`migrations` sets the tables up, `statements.py` is the SQL, with `filters.py` for what lists are filtered by,
`connections.py` opens connections and names what goes wrong with them, `store.py` keeps the promises of `store.port`
with these.
"""
