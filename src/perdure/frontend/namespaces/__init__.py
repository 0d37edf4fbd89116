"""Calls about namespaces."""
