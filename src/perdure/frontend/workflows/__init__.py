"""Calls of clients about workflow executions.

start.py             start a workflow, also with a signal
start_validation.py  the checks of a start
multi_operation.py   update with start
control.py           signal, cancel, terminate, pause, delete
options.py           change the options of an open execution
reset.py             reset to a workflow task
queries.py           query
updates.py           update
description.py       describe
history.py           read the history
event_links.py       links to events in responses
"""
