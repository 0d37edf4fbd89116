"""The task queues of a node: tasks meet pollers."""
