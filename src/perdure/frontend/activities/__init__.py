"""Calls about activities."""
