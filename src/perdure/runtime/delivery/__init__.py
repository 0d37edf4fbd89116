"""Carries out effects: tasks for queues, requests to other executions, calls to the outside, answers to callers."""
