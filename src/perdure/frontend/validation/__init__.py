"""Checks that the requests of several rooms share. The checks of one request stand beside its handler.

fields.py       ids, lengths, sizes, priorities, masks
task_queues.py  the names of task queues
links.py        the links of a request
callbacks.py    the completion callbacks of a request
"""
