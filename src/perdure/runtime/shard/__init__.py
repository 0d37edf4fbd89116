"""The engine room: executions in memory, transitions, commits, leases and timers."""
