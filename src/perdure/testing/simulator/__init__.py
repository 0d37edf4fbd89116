"""A world for the server to live in, without sockets, threads or real time: everything in it follows from one seed.

virtual_loop.py     time jumps to the next deadline; processes that can be paused and killed
faulty_store.py     a node's way to the store, which is slow, fails, and lies about failing
simulated_node.py   a node as a process, called as over a network
program.py          the small programs that workflows run
witness.py          what clients and workers were told, and so must be true for ever
model_worker.py     a worker that replays the programs, and loses and repeats its answers
caller.py           whoever insists on an answer
model_client.py     a client that insists, and looks at what it is shown
model_operator.py   an operator, who pauses, resets and changes what runs
receivers.py        whoever wants to know how a workflow ends, and may not be there
passing.py          workflows that are deleted, or whose time is over
told.py             what the journals say
checks.py           what must hold at every moment, in a quiet one, and at the end
checks_between.py   … of what workflows sent to each other
checks_gone.py      … of what is gone
checks_callbacks.py … of who is told how a run ended
checks_lists.py     … of what lists show
world.py            all of them together, in bad times and then in good ones
simulate.py         the command: one seed, or a thousand
planted.py          bugs on purpose: what the simulator would notice
planted_rules.py    … in the rules of one workflow
planted_control.py  … in what workflows do to each other, and operators to them
planted_gone.py     … in what removes runs and namespaces
planted_callbacks.py … in completion callbacks
planted_lists.py    … in lists with a database of their own
planted_stuck.py    … in what has to go on, and in resets
"""
