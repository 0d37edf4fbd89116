"""A world for the server to live in, without sockets, threads or real time: everything in it follows from one seed.

virtual_loop.py   time jumps to the next deadline
faulty_store.py   a node's way to the store, which is slow, fails, lies about failing and goes away
model_worker.py   a worker that replays small programs, and loses and repeats its answers
model_client.py   clients that insist, and remember what they were promised
world.py          nodes that crash, freeze and come back as zombies; what must hold, whatever happens
simulate.py       the command: one seed, or a thousand
planted.py        bugs on purpose: what the simulator would notice
"""
