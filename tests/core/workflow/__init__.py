"""Does a run of a workflow answer each request with the right history, timers and effects, also after a crash?

`run.py` drives one run, and checks the promises of `promises.py` and the tables of `life_cycle_watch.py` after every step.
"""
