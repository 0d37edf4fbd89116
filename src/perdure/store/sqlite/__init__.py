"""One SQLite file, or a SQLite database in memory, for one process."""
