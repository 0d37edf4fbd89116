"""Calls of workers about workflow tasks and task queues."""
