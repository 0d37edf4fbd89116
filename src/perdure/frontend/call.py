"""What a handler may know of the call that it answers, besides the request."""

from collections.abc import Mapping

from perdure.runtime.delivery.giving_back import GiveBacks


class Call:
    """One call. Handlers can be called without gRPC: the simulator makes these itself."""

    __slots__ = ("deadline", "give_backs", "metadata")

    def __init__(
        self, deadline: float | None = None, metadata: Mapping[str, str] | None = None
    ) -> None:
        #: Loop time; None if the caller sets none.
        self.deadline = deadline
        #: By lower-case name.
        self.metadata: Mapping[str, str] = metadata if metadata is not None else {}
        #: What the answer gives to the caller, and nobody else gets, goes back by these if the answer is lost.
        self.give_backs: GiveBacks = []

    def give_back(self) -> None:
        """The caller does not get the answer."""
        while self.give_backs:
            self.give_backs.pop()()
