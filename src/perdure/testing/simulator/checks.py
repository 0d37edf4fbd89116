"""What must hold: at every moment, once nothing moves, and when everything has ended.

Everything is derived from the journals in the store, which are read row by row as they grow.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import takewhile

from temporalio.api.enums.v1 import (
    ContinueAsNewInitiator,
    EventType,
    WorkflowExecutionStatus,
)
from temporalio.api.history.v1 import History, HistoryEvent

from perdure.core.execution.key import ExecutionKey
from perdure.core.execution.outcome import Effect
from perdure.core.times import duration_ns, timestamp_ns
from perdure.core.workflow import machine
from perdure.core.workflow.children import CLOSING_EVENTS
from perdure.core.workflow.effects import (
    OUTGOING_REQUESTS,
    DispatchActivityTask,
    DispatchWorkflowTask,
    InvokeCallback,
)
from perdure.core.workflow.lifecycle.reset import NO_POLL
from perdure.core.workflow.records import decode_state
from perdure.core.workflow.state import Run, RunState
from perdure.runtime.matching.task_queues import Offer, activity_offer, workflow_offer
from perdure.runtime.shard.cached import CachedExecution
from perdure.store.port import DELETED, NEVER_NS, ExecutionRow
from perdure.testing.promises import concept_of
from perdure.testing.simulator import checks_between
from perdure.testing.simulator.checks_callbacks import CallbackChecks, are_all_told
from perdure.testing.simulator.checks_gone import Gone, WatchedStore
from perdure.testing.simulator.checks_lists import ListChecks
from perdure.testing.simulator.receivers import Delivery
from perdure.testing.simulator.simulated_node import SimulatedNode
from perdure.testing.simulator.told import Told
from perdure.testing.simulator.witness import SKEW_MAX_NS, Witness

_OPEN = (
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED,
)
_BY_SCHEDULE = ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE

#: What a workflow has to be told.
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
        self.told: defaultdict[str, Told] = defaultdict(Told)
        self.lists = ListChecks(store)
        self.callbacks = CallbackChecks()
        self.gone = Gone(store, witness, self.callbacks.has_heard)
        store.on_delete = self._about_to_go

    def is_at_the_end(self) -> bool:
        """Whether every workflow has ended, and whoever wanted to know knows."""
        self._read()
        is_over = all(not told.state.is_open and are_all_told(told) for told in self.told.values())
        return is_over and not self.gone.is_missing_something() and not self.lists.is_behind()

    def took(self, delivery: Delivery) -> None:
        """A receiver was told how a run has ended."""
        self._read()
        # How a run has ended that was open when somebody deleted it is not written any more.
        if delivery.run_id not in self.gone.told:
            self.callbacks.took(delivery, self.told.get(delivery.run_id))

    def _about_to_go(self, keys: Sequence[ExecutionKey]) -> None:
        self._read()
        for key in keys:
            told = self.told.pop(key.run_id, None)
            if told is not None:
                self.gone.add(key.run_id, told)

    def _read(self) -> None:
        """Read on where the journals have grown. What was written before must still be there."""
        for run_id, rows in self._store.journals():
            told = self.told[run_id]
            known = len(told.rows)
            assert rows[:known] == told.rows, f"{run_id}: what was written has changed"
            for row in rows[known:]:
                assert row.seq == len(told.rows) + 1, f"{run_id}: row {row.seq} leaves a gap"
                machine.fold(told.state, [(row.events, row.internal)])
                told.events += History.FromString(row.events).events
                told.rows.append(row)

    # At every moment

    def at_any_time(self, nodes: Iterable[SimulatedNode]) -> None:
        self._read()
        open_runs: set[tuple[int, str, str]] = set()
        self.gone.check()
        self.callbacks.check()
        self.lists.check(self.told, self.gone.told)
        for row in self._store.rows():
            if row.status == DELETED:
                continue
            told = self.told[row.run_id]
            place = (row.archetype, row.namespace_id, row.business_id)
            assert told.rows, f"{row.run_id} has a row and no journal"
            assert not (told.state.is_open and place in open_runs), f"{place} has two open runs"
            if told.state.is_open:
                open_runs.add(place)
            seen = (row.due_at_ns, row.snapshot_seq, len(told.rows))
            if seen != told.looked_at:
                told.looked_at = seen
                self._check_row(row, told)
        for node in nodes:
            if self._is_owner(node):
                for live in node.node.engine.cache.runs():
                    if live.batch is None:
                        self._check_memory(node, live)

    def _check_row(self, row: ExecutionRow, told: Told) -> None:
        """Whoever takes over relies on the snapshot, and on the time at which the run is due."""
        run = Run(told.state)
        machine.check(run)
        # Of an open run the row does not say for certain whether it is paused.
        is_right = row.status in _OPEN if told.state.is_open else row.status == told.state.status
        assert is_right, f"{row.run_id}: the row says {row.status}"
        ids = [event.event_id for event in told.events]
        assert ids == list(range(1, len(ids) + 1)), f"{row.run_id}: ids are not 1, 2, 3 …: {ids}"
        if row.snapshot:
            state = machine.fold(
                decode_state(row.snapshot),
                ((each.events, each.internal) for each in told.rows[row.snapshot_seq :]),
            )
            assert state == told.state, f"{row.run_id}: its snapshot is wrong"
        # What came due while the run was paused came to nothing.
        now_ns = self._store._now_ns() + SKEW_MAX_NS if told.state.is_paused else 0
        if machine.pending_effects(run, now_ns):
            due_at_ns = 0
        else:
            timers = machine.pending_timers(run, now_ns)
            due_at_ns = min((timer.fire_at_ns for timer in timers), default=NEVER_NS)
        assert row.due_at_ns <= due_at_ns, f"{row.run_id}: due {row.due_at_ns}, needed {due_at_ns}"
        assert not _is_left_asleep(told), f"{row.run_id} has news, and nobody wakes it"

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
        """What the owner has in memory is what the journal says, and it will be called back in time."""
        told = self.told[live.key.run_id]
        assert live.seq == len(told.rows), f"{live.key}: {live.seq} rows, {len(told.rows)} stored"
        assert live.execution.state == told.state, f"{live.key}: memory differs from the journal"
        machine.check(live.execution)
        engine = node.node.engine
        asked = [timer for *_, reference, timer in engine.timers._heap if reference() is live]
        for timer in machine.pending_timers(live.execution, engine.clock.now_ns()):
            assert any(
                each.kind == timer.kind and each.fire_at_ns <= timer.fire_at_ns for each in asked
            ), f"{concept_of(timer)}: {live.key} waits for {timer}, and asked for {asked} only"

    # Once nothing moves

    def when_quiet(self, nodes: Iterable[SimulatedNode]) -> None:
        """No worker polls, and none has a task: what the owner's runs owe waits in its task queues."""
        self.at_any_time(nodes)
        for node in nodes:
            if not self._is_owner(node):
                continue
            queues = node.node.task_queues
            waiting = {task for name in queues.names() for task in queues.describe(name).backlog()}
            for live in node.node.engine.cache.runs():
                for effect in machine.pending_effects(live.execution, node.node.clock.now_ns()):
                    assert _is_seen_to(node, live, effect, waiting), (
                        f"{concept_of(effect)}: nobody sees to {effect}"
                    )

    # When everything has ended

    def at_the_end(self) -> None:
        self._read()
        self._check_acknowledged()
        self._check_chains()
        self._check_resets()
        self.lists.check_at_the_end()
        self.callbacks.check_at_the_end(self.told, self._witness.callbacks)
        for run_id, shown in self._witness.shown.items():
            told = self.gone.told.get(run_id) or self.told[run_id]
            events = told.events
            for event_id, encoded in shown.items():
                assert event_id <= len(events), f"{run_id}: event {event_id} was shown and is lost"
                durable = events[event_id - 1].SerializeToString(deterministic=True)
                assert encoded == durable, f"{run_id}: event {event_id} was shown as another one"
        for run_id, told in self.told.items():
            _check_timers(run_id, told.events)
            _check_updates(run_id, told)
        checks_between.check(self.told, self.gone.told)

    def _check_chains(self) -> None:
        """A run that says which one follows it is followed by that one, and by no other."""
        follows: dict[str, str] = {}
        ever = self.gone.told | self.told
        for run_id, told in ever.items():
            started = told.events[0].workflow_execution_started_event_attributes
            before = started.continued_execution_run_id
            if not before or told.state.base_run_ids:
                continue  # The first one, or one that has its beginning from another.
            assert before not in follows, f"{before}: both {run_id} and {follows[before]} follow it"
            follows[before] = run_id
            assert ever[before].state.first_run_id == told.state.first_run_id
            retried = started.initiator == ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_RETRY
            attempt = ever[before].state.attempt + 1 if retried else 1
            assert started.attempt == attempt, f"{run_id} is attempt {started.attempt}"
            if retried or started.initiator == _BY_SCHEDULE:
                assert duration_ns(started.first_workflow_task_backoff), f"{run_id} did not wait"
        for run_id, told in self.told.items():
            assert told.state.new_run_id or not _must_go_on(told.state), f"nothing follows {run_id}"
            wanted = told.state.new_run_id
            assert follows.get(run_id, "") == wanted, f"{run_id}: {wanted} does not follow it"

    def _check_resets(self) -> None:
        """A run that is a reset of another shares its history up to the workflow task that was failed for it."""
        ever = self.gone.told | self.told
        lost = self._witness.resets - set(ever)
        assert not lost, f"acknowledged resets are lost: {sorted(lost)}"
        for run_id, told in self.told.items():
            if not told.state.base_run_ids:
                continue
            base = ever[told.state.base_run_ids[-1]]
            shared = shared_past(run_id, told.events)
            assert told.events[:shared] == base.events[:shared], f"{run_id} has another past"
            assert base.state.reset_run_id, f"the run before {run_id} does not know of it"
            assert not base.state.is_open, f"{run_id} is a reset of a run that goes on"
            lost_signals = _signals(base.events[shared:]) - _signals(told.events[shared:])
            assert not lost_signals, f"{run_id}: the reset has forgotten {lost_signals}"

    def _check_acknowledged(self) -> None:
        found: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        for run_id, told in self.told.items():
            workflow_id = told.state.workflow_id
            in_this_run: set[tuple[str, str]] = set()
            for event in told.events:
                what, name = _asked_for(event)
                if not what:
                    continue
                # A run does not know what reached the one before it: there, a retry is new.
                assert (what, name) not in in_this_run, f"{run_id}: {what} {name} came twice"
                in_this_run.add((what, name))
                found[what].add((workflow_id, name))
        for workflow_id, run_id in self._witness.started.items():
            runs = [run for run, told in self.told.items() if told.state.workflow_id == workflow_id]
            assert runs, f"the start of {workflow_id} was acknowledged, and is lost"
            assert not run_id or run_id in runs, f"run {run_id} was acknowledged, and is lost"
        for what, told_of in (("signal", self._witness.signals), ("update", self._witness.updates)):
            lost = told_of - found[what]
            assert not lost, f"acknowledged {what}s are lost: {sorted(lost)}"
        for what, workflow_ids in (
            ("termination", self._witness.terminated),
            ("cancellation", self._witness.cancelled),
        ):
            lost_ids = workflow_ids - {workflow_id for workflow_id, _ in found[what]}
            assert not lost_ids, f"acknowledged {what}s are lost: {sorted(lost_ids)}"


def _is_seen_to(
    node: SimulatedNode, live: CachedExecution, effect: Effect, waiting: set[Offer]
) -> bool:
    """Whether a task waits for a worker, or an errand is under way."""
    if isinstance(effect, DispatchWorkflowTask):
        return workflow_offer(live.key, effect) in waiting
    if isinstance(effect, DispatchActivityTask):
        return activity_offer(live.key, effect) in waiting
    generation = node.node.engine.generation
    if isinstance(effect, InvokeCallback):
        place = (live.key.run_id, effect.number, effect.attempt, generation)
        return place in node.node.callbacks._under_way
    assert isinstance(effect, OUTGOING_REQUESTS)
    name = (live.key.run_id, type(effect), effect.initiated_event_id, generation)
    return name in node.node.outgoing_requests._under_way


def _is_left_asleep(told: Told) -> bool:
    """Whether something has happened to the run that no worker was shown, or is going to be."""
    state = told.state
    is_awake = state.workflow_task is not None or not state.has_had_workflow_task
    if is_awake or not state.is_open or state.is_paused:
        return False
    seen = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    since = takewhile(lambda kind: kind != seen, (each.event_type for each in told.events[::-1]))
    return any(kind in _NEWS for kind in since)


def shared_past(run_id: str, events: list[HistoryEvent]) -> int:
    """Return how many events the reset `run_id` has from the run that it is a reset of."""
    failed = next(
        index
        for index, event in enumerate(events)
        if event.workflow_task_failed_event_attributes.new_run_id == run_id
    )
    # A task that nobody had begun at that point is begun by the reset itself, in order to fail it.
    started = events[failed - 1]
    is_own = (
        started.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
        and started.event_time == events[failed].event_time
        and started.workflow_task_started_event_attributes.request_id == NO_POLL
    )
    return failed - 1 if is_own else failed


def _must_go_on(state: RunState) -> bool:
    """Whether a closed run has a next one: by its cron schedule, or since it failed and may be tried again."""
    if state.status == WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED:
        return bool(state.cron_schedule)
    if state.status != WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_FAILED:
        return False
    policy = state.retry_policy
    return bool(state.cron_schedule) or (
        policy is not None and state.attempt < policy.maximum_attempts
    )


def _signals(events: Iterable[HistoryEvent]) -> set[str]:
    return {name for what, name in map(_asked_for, events) if what == "signal"}


def _check_updates(run_id: str, told: Told) -> None:
    for event in told.events:
        what, update_id = _asked_for(event)
        if what == "update":
            known = told.state.updates[update_id].completed_event_id
            assert known == event.event_id, (
                f"{run_id}: update {update_id} is not known to have ended"
            )


def _asked_for(event: HistoryEvent) -> tuple[str, str]:
    """Return which request of a client the event answers, and its name."""
    kind = event.event_type
    if kind == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
        signaled = event.workflow_execution_signaled_event_attributes
        # What a workflow sends it names after itself, in each of its runs.
        sent = signaled.request_id if "/" in signaled.signal_name else ""
        return "signal", signaled.signal_name + sent
    if kind == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
        meta = event.workflow_execution_update_completed_event_attributes.meta
        return "update", meta.update_id
    if kind == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED:
        updated = event.workflow_execution_options_updated_event_attributes
        return "attachment" if updated.attached_request_id else "", updated.attached_request_id
    if kind == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
        return "termination", ""
    if kind == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
        return "cancellation", ""
    return "", ""


def _check_timers(run_id: str, events: list[HistoryEvent]) -> None:
    """No timer fires early, or twice, or after it was cancelled."""
    running: dict[int, int] = {}
    for event in events:
        if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED:
            started = event.timer_started_event_attributes
            running[event.event_id] = timestamp_ns(event.event_time) + duration_ns(
                started.start_to_fire_timeout
            )
        elif event.event_type == EventType.EVENT_TYPE_TIMER_CANCELED:
            del running[event.timer_canceled_event_attributes.started_event_id]
        elif event.event_type == EventType.EVENT_TYPE_TIMER_FIRED:
            due_ns = running.pop(event.timer_fired_event_attributes.started_event_id)
            early_ns = due_ns - timestamp_ns(event.event_time)
            assert early_ns <= 2 * SKEW_MAX_NS, f"{run_id}: a timer fired {early_ns} ns early"
