"""Simulated worlds: nodes, workers and clients without sockets, threads or real time. One seed decides everything.

virtual_loop.py      an event loop whose time jumps to the next deadline; processes that are paused and killed
faulty_store.py      a node's way to the store: slow, failing, and wrong about what it has done
range_store.py       the store itself; its key space may be split into ranges that change hands
simulated_node.py    a node as a process, called with bytes as over gRPC
connection.py        a caller's way to the nodes, on which calls and answers get lost
program.py           the small programs that workflows run
answers.py           how they answer queries and updates
witness.py           the promises that the server has made, which must be true for ever
unreliable_worker.py a worker that insists, and loses and repeats its answers
model_worker.py      … of workflow tasks: it replays the programs
activity_worker.py   … of activities: it sends heartbeats, and stops when asked
crews.py             the processes of workers
retrying_caller.py   a caller that repeats its calls until one is answered
starting_client.py   … starts a workflow alone, with a signal, or with an update
model_client.py      … follows that workflow, and compares what it is shown
model_operator.py    … pauses, resets and changes what runs
administrator.py     … changes namespaces, search attributes and task queues
visibility_reader.py … lists, scans and counts
deletion_clients.py  … deletes runs, or a whole namespace
receivers.py         the receivers of completion callbacks, which are away at times
journal_view.py      what one journal says
checks.py            what must hold at every moment, in a quiet one, and at the end
checks_promises.py   … for what was acknowledged, and for runs that follow one another
checks_between.py    … for the signals and requests that workflows send to each other
checks_gone.py       … for deleted runs
checks_callbacks.py  … for completion callbacks
checks_lists.py      … for visibility
bad_times.py         what breaks, and how often
world.py             all of them together, in bad times and then in good ones
simulate.py          the command: one seed, or a thousand
planted.py           bugs on purpose: which ones do the worlds notice?
planted_runtime.py   … in the engine, its commits and the store
planted_rules.py     … in the rules of one workflow
planted_control.py   … in what workflows do to each other, and operators to them
planted_gone.py      … in the deletion of runs and namespaces
planted_callbacks.py … in completion callbacks
planted_lists.py     … in visibility with a database of its own
planted_stuck.py     … in what keeps a run going, and in resets
planted_front.py     … in the frontend, what it keeps, and in how nodes share the key space
"""
