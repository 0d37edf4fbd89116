"""Matching: tasks meet pollers.

`rate.py` measures, `token_bucket.py` limits, `task_queue.py` is one task queue.
"""
