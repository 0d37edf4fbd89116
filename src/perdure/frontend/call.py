"""A call under way: a handler gets it besides the request."""

from collections.abc import Mapping

from perdure.runtime.delivery.giving_back import GiveBacks


class Call:
    """One call, of any protocol. The simulator and tests make calls without a socket."""

    __slots__ = ("deadline", "give_backs", "metadata")

    def __init__(
        self, deadline: float | None = None, metadata: Mapping[str, str] | None = None
    ) -> None:
        #: The event loop's time at which the caller gives up; None if the caller sets no deadline.
        self.deadline = deadline
        #: Headers, by lower-case name.
        self.metadata: Mapping[str, str] = metadata if metadata is not None else {}
        #: Each returns something that the answer hands over, such as a task. They are called if the answer is lost.
        self.give_backs: GiveBacks = []

    def give_back(self) -> None:
        """Return all that the answer would hand over: the caller does not get it."""
        while self.give_backs:
            self.give_backs.pop()()
