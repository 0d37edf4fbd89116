"""What a handler may know of the call that it answers, besides the request."""

from collections.abc import Mapping


class Call:
    """One call. Handlers can be called without gRPC: the simulator makes these itself."""

    __slots__ = ("deadline", "metadata")

    def __init__(
        self, deadline: float | None = None, metadata: Mapping[str, str] | None = None
    ) -> None:
        #: Loop time; None if the caller sets none.
        self.deadline = deadline
        #: By lower-case name.
        self.metadata: Mapping[str, str] = metadata if metadata is not None else {}
