"""How large a run's state is: what the real server stores of a run besides its history, in about as many bytes.

The contents of history (inputs, results, markers) do not count here, although a `RunState` has some of it at hand.
"""

from perdure.core.execution.outcome import Outcome
from perdure.core.workflow.concepts import RULES
from perdure.core.workflow.state import Run

#: By so much may a transition make the state larger beyond twice what it records: for an id, say, that it repeats.
_SLACK_BYTES = 256


def approximate_size(run: Run) -> int:
    """Return the sum of what each concept has in the state."""
    return RULES.size(run)


def may_exceed(run: Run, limit: int) -> bool:
    """Say whether the state may be larger than `limit`; it is measured only if it has grown enough since last time."""
    if run.state_size_max is None or run.state_size_max > limit:
        run.state_size_max = approximate_size(run)
    return run.state_size_max > limit


def note_growth(run: Run, outcome: Outcome) -> None:
    """Count what a transition recorded: nothing else makes the state larger."""
    if run.state_size_max is not None:
        run.state_size_max += 2 * (len(outcome.events) + len(outcome.internal)) + _SLACK_BYTES


def check(run: Run) -> None:
    assert run.state_size_max is None or approximate_size(run) <= run.state_size_max
