"""Calls about lists and search attributes."""
