"""Calls about workflow executions."""
