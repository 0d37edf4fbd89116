"""The corpus of list filters: the same executions and the same queries on the real server and on perdure.

corpus.py       the executions, and the queries of queries.txt together with generated ones
asking.py       writes the executions to a server, asks it everything, and makes answers comparable
__main__.py     the whole, over as many executions as one likes
"""
