"""Matching: tasks meet pollers.

`rate.py` measures, `token_bucket.py` limits, `key_rates.py` limits each fairness key, `backlog.py` is what waits with
one priority, `task_queue.py` is one task queue, `scaling.py` says how many pollers it wants.
"""
