"""Archetype 0, the workflow: how one workflow run moves from state to state.

Read the state and the records first, then the machine (the one entry point) and the step (the verbs of the rules). Each
concept has a file of its own with the same sections in the same order: what can be asked, what a worker can command,
how records change the state, what must hold, the tables. Nothing here waits, reads a clock, draws a random number,
writes a log or knows a database.
"""
