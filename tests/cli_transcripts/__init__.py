"""Does the official command line print the same, and exit with the same code, against the real server and perdure?

Reading order: `script.py` reads a file of `scripts/`, `player.py` runs it, `normalise.py` takes out what differs from run to
run, `worker.py` is the worker that the commands need, `test_transcripts.py` compares. By hand:
`python -m tests.cli_transcripts [--show] [NAME …]`.
"""
