"""Calls about the server and the cluster.

server_info.py  the version and the capabilities of the server
clusters.py     the clusters that this one knows
"""
