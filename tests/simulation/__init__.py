"""Do clients and workers always get what they were promised, in whole simulated worlds where every part may fail?

A seed is a world: the same one each time. Bugs are planted on purpose, and each must be noticed.
Run: `make test ARGS=tests/simulation`; `make simulate` plays a thousand worlds, `make simulate SEED=42` one.
"""
