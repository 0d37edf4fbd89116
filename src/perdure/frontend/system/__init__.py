"""Calls about the server and the cluster."""
