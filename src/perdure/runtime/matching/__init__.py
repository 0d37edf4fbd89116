"""Task queues and polls: a worker that polls gets a task, once its execution has started it."""
