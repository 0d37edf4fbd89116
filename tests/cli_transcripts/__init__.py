"""The official command line against the real server and perdure: the same commands, the same output, the same exit codes.

Reading order: `script.py` reads a file of `scripts/`, `player.py` runs it, `normalise.py` takes out what differs from run to
run, `worker.py` is the worker that the commands need, `test_transcripts.py` compares. By hand:
`python -m tests.cli_transcripts [--show] [NAME …]`.
"""
