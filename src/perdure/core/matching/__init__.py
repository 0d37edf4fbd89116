"""Matching: tasks meet pollers. `task_queue.py` is one task queue."""
