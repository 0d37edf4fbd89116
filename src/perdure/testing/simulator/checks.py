"""Checks: some hold at every moment, some once nothing moves, some when everything has ended.

Everything is derived from the journals in the store, which are read row by row as they grow.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import takewhile

from temporalio.api.enums.v1 import (
    EventType,
    WorkflowExecutionStatus,
)
from temporalio.api.history.v1 import History

from perdure.core.execution.key import ExecutionKey
from perdure.core.execution.outcome import Effect
from perdure.core.workflow import machine
from perdure.core.workflow.child_outcomes import CLOSING_EVENTS
from perdure.core.workflow.effects import (
    OUTGOING_REQUESTS,
    DispatchActivityTask,
    DispatchWorkflowTask,
    InvokeCallback,
)
from perdure.core.workflow.records import decode_state
from perdure.core.workflow.state import Run
from perdure.runtime.matching.task_queues import (
    QueuedTask,
    queued_activity_task,
    queued_workflow_task,
)
from perdure.runtime.shard.cached import CachedExecution
from perdure.store.port import DELETED, NEVER_NS, ExecutionRow
from perdure.testing.promises import concept_of
from perdure.testing.simulator import checks_between, checks_promises
from perdure.testing.simulator.checks_callbacks import CallbackChecks, all_receivers_know
from perdure.testing.simulator.checks_gone import Gone, WatchedStore
from perdure.testing.simulator.checks_lists import ListChecks
from perdure.testing.simulator.journal_view import JournalView
from perdure.testing.simulator.receivers import Delivery
from perdure.testing.simulator.simulated_node import SimulatedNode
from perdure.testing.simulator.witness import SKEW_MAX_NS, Witness

_OPEN = (
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED,
)

#: Events that a workflow has to learn of.
_NEWS = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
    EventType.EVENT_TYPE_TIMER_FIRED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
    EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED,
    EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
    EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
    EventType.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED,
    *CLOSING_EVENTS,
}


class Checks:
    def __init__(self, store: WatchedStore, witness: Witness) -> None:
        self._store = store
        self._witness = witness
        self.journals: defaultdict[str, JournalView] = defaultdict(JournalView)
        self.lists = ListChecks(store)
        self.callbacks = CallbackChecks()
        self.gone = Gone(store, witness, self.callbacks.has_heard)
        store.on_delete = self._about_to_go

    def is_at_the_end(self) -> bool:
        """Whether every workflow has ended, and its receivers know."""
        self._read()
        is_over = all(
            not journal.state.is_open and all_receivers_know(journal)
            for journal in self.journals.values()
        )
        return is_over and not self.gone.is_missing_something() and not self.lists.is_behind()

    def took(self, delivery: Delivery) -> None:
        """A receiver took the news of how a run has ended."""
        self._read()
        # A run that was open when somebody deleted it leaves no trace of its end.
        if delivery.run_id not in self.gone.journals:
            self.callbacks.took(delivery, self.journals.get(delivery.run_id))

    def _about_to_go(self, keys: Sequence[ExecutionKey]) -> None:
        self._read()
        for key in keys:
            journal = self.journals.pop(key.run_id, None)
            if journal is not None:
                self.gone.add(key.run_id, journal)

    def _read(self) -> None:
        """Read on where the journals have grown. The rows from before must still be there."""
        for run_id, rows in self._store.journals():
            journal = self.journals[run_id]
            known = len(journal.rows)
            assert rows[:known] == journal.rows, f"{run_id}: what was written has changed"
            for row in rows[known:]:
                assert row.seq == len(journal.rows) + 1, f"{run_id}: row {row.seq} leaves a gap"
                machine.fold(journal.state, [(row.events, row.internal)])
                journal.events += History.FromString(row.events).events
                journal.rows.append(row)

    # At every moment

    def at_any_time(self, nodes: Iterable[SimulatedNode]) -> None:
        self._read()
        open_runs: set[tuple[int, str, str]] = set()
        self.gone.check()
        self.callbacks.check()
        self.lists.check(self.journals, self.gone.journals)
        for row in self._store.rows():
            if row.status == DELETED:
                continue
            journal = self.journals[row.run_id]
            place = (row.archetype, row.namespace_id, row.business_id)
            assert journal.rows, f"{row.run_id} has a row and no journal"
            assert not (journal.state.is_open and place in open_runs), f"{place} has two open runs"
            if journal.state.is_open:
                open_runs.add(place)
            seen = (row.due_at_ns, row.snapshot_seq, len(journal.rows))
            if seen != journal.looked_at:
                journal.looked_at = seen
                self._check_row(row, journal)
        for node in nodes:
            if self._is_owner(node):
                for live in node.node.engine.cache.executions():
                    if live.batch is None:
                        self._check_memory(node, live)

    def _check_row(self, row: ExecutionRow, journal: JournalView) -> None:
        """The next owner relies on the snapshot, and on the time at which the run is due."""
        run = Run(journal.state)
        machine.check(run)
        # The row of an open run does not say for certain whether it is paused.
        is_right = (
            row.status in _OPEN if journal.state.is_open else row.status == journal.state.status
        )
        assert is_right, f"{row.run_id}: the row says {row.status}"
        ids = [event.event_id for event in journal.events]
        assert ids == list(range(1, len(ids) + 1)), f"{row.run_id}: ids are not 1, 2, 3 …: {ids}"
        if row.snapshot:
            state = machine.fold(
                decode_state(row.snapshot),
                ((each.events, each.internal) for each in journal.rows[row.snapshot_seq :]),
            )
            assert state == journal.state, f"{row.run_id}: its snapshot is wrong"
        # A timer that came due while the run was paused came to nothing.
        now_ns = self._store._now_ns() + SKEW_MAX_NS if journal.state.is_paused else 0
        if machine.pending_effects(run, now_ns):
            due_at_ns = 0
        else:
            timers = machine.pending_timers(run, now_ns)
            due_at_ns = min((timer.fire_at_ns for timer in timers), default=NEVER_NS)
        assert row.due_at_ns <= due_at_ns, f"{row.run_id}: due {row.due_at_ns}, needed {due_at_ns}"
        assert not _is_left_asleep(journal), f"{row.run_id} has news, and nobody wakes it"

    def _is_owner(self, node: SimulatedNode) -> bool:
        leases = node.node.engine.leases
        return (
            node.is_serving
            and node.process.held is None
            and leases.is_certain()
            and bool(leases.held)
            and all(lease in self._store._leases for lease in leases.held)
        )

    def _check_memory(self, node: SimulatedNode, live: CachedExecution) -> None:
        """The owner's memory is what the journal says, and the run's timers are set."""
        key, leases = live.key.shard_key, node.node.engine.leases.held
        assert any(lease.lo <= key < lease.hi for lease in leases), f"{live.key} is another node's"
        journal = self.journals[live.key.run_id]
        assert live.seq == len(journal.rows), (
            f"{live.key}: {live.seq} rows, {len(journal.rows)} stored"
        )
        assert live.execution.state == journal.state, f"{live.key}: memory differs from the journal"
        machine.check(live.execution)
        engine = node.node.engine
        asked = [timer for *_, reference, timer in engine.timers._heap if reference() is live]
        for timer in machine.pending_timers(live.execution, engine.clock.now_ns()):
            assert any(
                each.kind == timer.kind and each.fire_at_ns <= timer.fire_at_ns for each in asked
            ), f"{concept_of(timer)}: {live.key} waits for {timer}, and asked for {asked} only"

    # Once nothing moves

    def when_quiet(self, nodes: Iterable[SimulatedNode]) -> None:
        """No worker polls, and none has a task: the pending effects of the owner's runs wait in its task queues."""
        self.at_any_time(nodes)
        for node in nodes:
            if not self._is_owner(node):
                continue
            queues = node.node.task_queues
            waiting = {task for name in queues.names() for task in queues.describe(name).backlog()}
            for live in node.node.engine.cache.executions():
                for effect in machine.pending_effects(live.execution, node.node.clock.now_ns()):
                    assert _is_seen_to(node, live, effect, waiting), (
                        f"{concept_of(effect)}: nobody sees to {effect}"
                    )

    # When everything has ended

    def at_the_end(self) -> None:
        self._read()
        checks_promises.check(self.journals, self.gone.journals, self._witness)
        self.lists.check_at_the_end()
        self.callbacks.check_at_the_end(self.journals, self._witness.callbacks)
        checks_between.check(self.journals, self.gone.journals)


def _is_seen_to(
    node: SimulatedNode, live: CachedExecution, effect: Effect, waiting: set[QueuedTask]
) -> bool:
    """Whether a task waits for a worker, or a request to another execution is under way."""
    if isinstance(effect, DispatchWorkflowTask):
        task = queued_workflow_task(live.key, effect)
        return any(task.identity == getattr(each, "identity", None) for each in waiting)
    if isinstance(effect, DispatchActivityTask):
        return queued_activity_task(live.key, effect) in waiting
    if isinstance(effect, InvokeCallback):
        place = (live.key.run_id, effect.number, effect.attempt)
        return place in node.node.outbound_calls._under_way
    assert isinstance(effect, OUTGOING_REQUESTS)
    name = (live.key.run_id, type(effect), effect.initiated_event_id)
    return name in node.node.outgoing_requests._under_way


def _is_left_asleep(journal: JournalView) -> bool:
    """Whether something has happened to the run that no worker was shown, or is going to be."""
    state = journal.state
    is_awake = state.workflow_task is not None or not state.has_had_workflow_task
    if is_awake or not state.is_open or state.is_paused:
        return False
    seen = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    since = takewhile(lambda kind: kind != seen, (each.event_type for each in journal.events[::-1]))
    return any(kind in _NEWS for kind in since)
