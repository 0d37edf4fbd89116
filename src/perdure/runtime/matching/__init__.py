"""Task queues: tasks meet pollers."""
