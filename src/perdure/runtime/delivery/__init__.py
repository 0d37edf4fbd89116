"""Effects leave a transition: requests to other executions, calls to the outside, answers to callers."""
