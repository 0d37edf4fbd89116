"""The shell around the machines: it waits, reads the clock, draws ids and talks to the store, so that they need not.

clock.py         the only reader of the time
limits.py        which key of dynamic configuration sets which limit
leases.py        which part of the key space is ours, and until when that is certain
group_commit.py  what arrives while a commit is in flight forms the next batch
live.py          one run in memory
timers.py        when to call which run back
residency.py     which runs are in memory: loading, taking over, parking (with backlogged.py)
size_warnings.py the log tells of runs that grow large
background.py    work that goes on for ever, also after a bug
engine.py        requests become transitions, transitions commits, commits replies and effects
task_queues.py   pollers wait here
giving_back.py   tasks come back from workers that are gone
starts.py        a start request meets the run that there is
queries.py       queries and their callers
updates.py       updates and their callers
breakers.py      whoever does not take callbacks is left alone for a while (with callbacks.py, posting.py)
completion_pages.py  how much memory the pages of completions may take
errands.py       what one run wants of another
call_notes.py    which workflow a call was about
replies.py       what the frontend is answered with
resets.py        a workflow is taken back
journal.py       a run's journal, read from the store
histories.py     history, from memory or the store
visibility.py    what lists show of a run
list_follower.py lists in a database of their own follow the main one
list_rebuilding.py  lists are made again from the runs
namespaces.py    the namespaces there are
attribute_periods.py  their search attributes, from adding to removal
retention.py     closed runs go when their namespace's retention is over
namespace_deletion.py  a deleted namespace goes with all that is in it
measured.py      what Prometheus is told
node.py          all of it, behind the calls that the frontend makes
"""
