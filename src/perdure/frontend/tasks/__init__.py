"""Calls of workers about tasks, and calls about task queues.

workflow_tasks.py      poll for workflow tasks, and respond to them
activity_tasks.py      poll for activity tasks, heartbeat, and respond to them
payload_limits.py      what takes the place of a payload that is too large
queue_descriptions.py  describe a task queue; a worker leaves one
queue_config.py        set the rate limits of a task queue
"""
