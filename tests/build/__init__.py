"""How is a command, a request or an answer written in one line?

One builder for each: no test makes its own. Nothing here is a test, so there is nothing to run.
"""
