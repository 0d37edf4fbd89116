"""A client that asks for an update can have the outcome sent to others, by callbacks of their own.

They come with the request, or with a later one for the same update. Once the update is accepted they are in the
history, those of a later request in an event of their own. `callbacks.py` has the rest of their life.
"""

from collections.abc import Sequence

from temporalio.api.common.v1 import Callback, Link
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.errors import Code, Rejected
from perdure.core.workflow.callbacks import check_count
from perdure.core.workflow.events import new_event
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.state import AdmittedUpdate


def check_room(step: HistoryStep, update_id: str, more: int) -> None:
    """Refuse to attach `more` callbacks if the run, or the update, would have too many."""
    if not more:
        return
    state, limits = step.state, step.environment.limits
    check_count(state, more, limits)
    count = sum(callback.update_id == update_id for callback in state.callbacks)
    admitted = step.in_flight.updates.get(update_id)
    if admitted is not None:
        count += admitted.callback_count
    if count + more > limits.max_update_callbacks:
        raise Rejected(
            Code.FAILED_PRECONDITION,
            f"cannot attach more than {limits.max_update_callbacks} callbacks to update"
            f' "{update_id}" ({count} callbacks already attached)',
        )


def attach(
    step: HistoryStep, update_id: str, request_id: str, callbacks: Sequence[Callback]
) -> None:
    """Attach them to an update that is known and not completed. A repeated request is attached once."""
    if not callbacks or request_id in step.state.request_ids:
        return
    admitted = step.in_flight.updates.get(update_id)
    if admitted is None:
        check_room(step, update_id, len(callbacks))
        step.record_or_buffer(_attached(update_id, request_id, callbacks))
    elif request_id not in (admitted.request_id, *admitted.attached):
        check_room(step, update_id, len(callbacks))
        admitted.attached[request_id] = tuple(callbacks)
        admitted.callback_count += len(callbacks)


def record_attached(step: HistoryStep, update_id: str, admitted: AdmittedUpdate) -> None:
    """The update has been accepted: what was attached to it meanwhile goes to the history, too."""
    for request_id, callbacks in admitted.attached.items():
        if request_id not in step.state.request_ids:
            step.record(_attached(update_id, request_id, callbacks))


def links_of(callbacks: Sequence[Callback]) -> list[Link]:
    """Return what the event says that it comes from."""
    return [link for each in callbacks if each.HasField("nexus") for link in each.links]


def _attached(update_id: str, request_id: str, callbacks: Sequence[Callback]) -> HistoryEvent:
    event = new_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED)
    event.worker_may_ignore = True
    options = event.workflow_execution_options_updated_event_attributes.workflow_update_options
    options.add(
        update_id=update_id,
        attached_request_id=request_id,
        attached_completion_callbacks=callbacks,
    )
    return event
