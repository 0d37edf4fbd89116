"""The decision about a request of a business id: its current run, or none, says what is done."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from perdure.core.execution.environment import Environment
from perdure.core.execution.request import Request

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Decision(Generic[R]):
    """The steps of one commit. Never sent anywhere, so it may hold callables."""

    #: Makes the answer of the run that answers and of the replies to `after`: a refusal, which ends them, included.
    reply: Callable[[Any, Sequence[object]], R]
    #: The id of a new run that becomes the current one; empty if the current one answers.
    run_id: str = ""
    #: Requests that have the current run make room for the new one.
    before: tuple[Request[Any], ...] = ()
    #: Makes the first request of the new run, after `before`.
    begin: Callable[[], Request[Any]] | None = None
    #: Requests to the run that answers.
    after: tuple[Request[Any], ...] = ()


class BusinessIdRequest(Request[R]):
    """A request that a business id answers rather than one of its runs: it may begin a run."""

    __slots__ = ()

    @abstractmethod
    def decide(self, current: Any | None, *, now_ns: int, environment: Environment) -> Decision[R]:
        """Return what to do; `current` is the current run in memory. Raises `Rejected`."""
