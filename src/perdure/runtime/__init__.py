"""Around the rules: everything that waits, reads the clock, draws ids and talks to the store."""
