"""Matching: tasks meet pollers.

`rate.py` measures, `token_bucket.py` limits, `key_rates.py` limits each fairness key, `backlog.py` holds the waiting
tasks of one priority, `task_queue.py` is one task queue, `scaling.py` suggests how many pollers a worker should have.
"""
