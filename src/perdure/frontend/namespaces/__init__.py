"""Calls of operators about namespaces.

lifecycle.py    register, change, deprecate, delete
update.py       what an update changes
description.py  describe and list
rules.py        retention, cluster, protection from deletion
"""
