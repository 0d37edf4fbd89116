"""Do list filters find the same executions on perdure as on the real server?

Run: `make test ARGS=tests/visibility` (slow), or over as many executions as one likes: `python -m tests.visibility COUNT`.

corpus.py       the executions, and the queries of queries.txt together with generated ones
asking.py       writes the executions to a server, asks it everything, and makes answers comparable
__main__.py     the whole, over as many executions as one likes
"""
