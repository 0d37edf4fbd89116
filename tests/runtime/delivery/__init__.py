"""Do requests to other executions, calls to the outside and answers to callers arrive, once and in time?"""
