"""A call under way: a handler gets it besides the request."""

from collections.abc import Mapping

from perdure.runtime.matching.task_returns import TaskReturns


class Call:
    """One call, of any protocol. The simulator and tests make calls without a socket."""

    __slots__ = ("deadline", "metadata", "task_returns")

    def __init__(
        self, deadline: float | None = None, metadata: Mapping[str, str] | None = None
    ) -> None:
        #: The event loop's time at which the caller gives up; None if the caller sets no deadline.
        self.deadline = deadline
        #: Headers, by lower-case name.
        self.metadata: Mapping[str, str] = metadata if metadata is not None else {}
        #: They return the started tasks that the answer brings. They are called if the answer is lost.
        self.task_returns: TaskReturns = []

    def return_tasks(self) -> None:
        """Return the tasks that the answer would bring: the caller does not get it."""
        while self.task_returns:
            self.task_returns.pop()()
