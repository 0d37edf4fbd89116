"""The machine with a hand on it: what goes in, what comes out, and what it holds."""

from perdure.frontend.transport.http2.connection import Http2Connection
from perdure.frontend.transport.http2.limits import LIMITS, ConnectionLimits
from perdure.frontend.transport.http2.streams import Cancelled, Ended, Event, Received, Stream
from tests.frontend.transport.http2.wire import PREFACE, Frame, frames_of, settings

STREAMING = ("/a.Service/Streaming",)


class Machine:
    """A connection that has heard the preface, and what it has said since."""

    def __init__(self, limits: ConnectionLimits = LIMITS, *, is_greeted: bool = True) -> None:
        self.connection = Http2Connection(STREAMING, limits)
        #: The calls that were reported and have not ended, by stream; and how each of the others ended.
        self.calls: dict[int, Stream] = {}
        self.ends: dict[int, str] = {}
        if is_greeted:
            self.hear(PREFACE + settings())

    def hear(self, data: bytes) -> list[Frame]:
        """Pass bytes of the client on; return the frames that answer them."""
        for event in self.connection.receive(data):
            self._note(event)
        return self.frames()

    def _note(self, event: Event) -> None:
        match event:
            case Stream():
                assert event.id not in self.calls, "a call is reported twice"
                assert event.id not in self.ends, "a call is reported after its end"
                self.calls[event.id] = event
            case Cancelled():
                # Its answer may wait for a window: then the call had one end, and now has another.
                is_held = self.ends.get(event.stream.id) == "answered"
                assert is_held or event.stream.id in self.calls, (
                    "a call is cancelled that nobody has"
                )
                self.calls.pop(event.stream.id, None)
                self.ends[event.stream.id] = "cancelled"
            case Received() | Ended():
                assert event.stream.id in self.calls, "news of a call that nobody has"

    def answer(self, id: int, content: bytes) -> None:
        self.connection.answers.answer(self._end(id, "answered"), content)

    def refuse(self, id: int, block: bytes) -> None:
        self.connection.answers.refuse(self._end(id, "refused"), block)

    def _end(self, id: int, how: str) -> Stream:
        self.ends[id] = how
        return self.calls.pop(id)

    def frames(self) -> list[Frame]:
        return list(frames_of(self.connection.take()))

    @property
    def is_over(self) -> bool:
        return self.connection.is_over
