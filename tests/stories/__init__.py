"""Does a story come out the same on the rules alone, on a simulated node, and on the real server beside perdure?

A story is an async function with `@story` in a file of `corpus/`: six to twenty lines of calls, then what history `shows`, what
is `refused`, what an answer `tells`. Workers wait when they poll; `scene.wait` is for what cannot be seen. In reading order:
`language` has the words, `expectations` compares, `core_stage` (with `core_calls`) and `node_stage` are called as servers.
Run: `make test ARGS=tests/stories`; both servers: `python -m tests.differential NAME-PART …`.
"""
