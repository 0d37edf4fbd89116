"""Calls of operators about activities.

control.py     activities of a workflow
executions.py  the same by the newer calls, which also know standalone activities
"""
