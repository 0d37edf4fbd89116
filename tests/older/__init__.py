"""Does this version open the files that earlier ones wrote, and go on with what is in them?

Run: `make test ARGS=tests/older` (slow). `story.py` writes a new file.
"""
