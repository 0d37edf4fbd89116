"""Activities of a workflow: commands, attempts, timeouts, and what operators change."""
