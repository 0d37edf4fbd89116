"""Versions of workers."""
