"""Which namespace a command reaches: the workflow's own, or another one if an operator allows that."""

from temporalio.api.enums.v1 import WorkflowTaskFailedCause

from perdure.core.workflow.history_step import BadCommand, HistoryStep


def reached_namespace_id(
    step: HistoryStep, name: str, cause: WorkflowTaskFailedCause.ValueType
) -> str:
    """Return the id of the namespace that a command names; an empty name is the workflow's own. Raises `BadCommand`."""
    state = step.state
    if not name or name == state.namespace:
        return state.namespace_id
    if not step.environment.limits.cross_namespace_commands:
        raise BadCommand(cause, "cross namespace commands are not allowed")
    namespace_id = step.environment.namespace_id(name)
    if not namespace_id:
        # It was there when the request came in.
        raise BadCommand(cause, f"Namespace {name} is not found.")
    return namespace_id
