"""Worker deployments.

worker_versions.py  what workers say about the deployment that they belong to
"""
