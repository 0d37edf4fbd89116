"""Calls about lists and search attributes.

lists.py              list and count executions
field_filters.py      the fields of the older list calls as a filter
execution_info.py     a row of visibility as lists show it
search_attributes.py  add, list and remove custom search attributes
"""
