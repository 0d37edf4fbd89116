"""Random conversations with `h2`: it checks what we send; here is checked that every call ends once, and nothing is left."""

import os

from h2.settings import SettingCodes
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from perdure.frontend.transport.http2.answers import status_block
from perdure.frontend.transport.http2.limits import ConnectionLimits
from tests.frontend.transport.http2.peer import Peer, connected
from tests.frontend.transport.http2.wire import REQUEST, message

#: So small that conversations meet all of them.
LIMITS = ConnectionLimits(
    streams=20,
    window_bytes=100_000,
    request_bytes=200_000,
    request_bytes_soft=150_000,
    held_bytes=300_000,
)
sizes = st.sampled_from([0, 1, 2, 100, 5_000, 16_384, 70_000])
windows = st.sampled_from([0, 1, 2, 5, 1_000, 65_535, 200_000])
increments = st.sampled_from([1, 2, 100, 16_384, 100_000])
parts = st.sampled_from([1, 3, 9, 10, 100, 1_000, None])
more = st.lists(
    st.tuples(st.sampled_from(["a", "b", "grpc-trace"]), st.sampled_from(["1S", "x", "y" * 300])),
    max_size=3,
)


def held_bytes(peer: Peer) -> int:
    return sum(sum(map(len, s.pending)) for s in peer.server.connection.streams.values())


class Conversation(RuleBasedStateMachine):
    """Each rule is something that the client, the server or the line between them does."""

    calls = Bundle("calls")

    @initialize()
    def connect(self):
        self.peer = connected(LIMITS)
        self.answers: dict[int, bytes] = {}

    @rule(target=calls, size=sizes, more=more)
    def begin(self, size, more):
        if self.peer.client.open_outbound_streams >= 20:
            return multiple()
        return self.peer.begin(b"q" * size, [*REQUEST, *more])

    @rule(id=calls, size=sizes, padding=st.sampled_from([None, 0, 1, 255]))
    def send(self, id, size, padding):
        self.peer.send(id, size, padding)

    @rule(id=consumes(calls))
    def cancel(self, id):
        self.peer.cancel(id)

    @rule(id=calls, by=increments)
    def grow_a_window(self, id, by):
        if not self.peer.requests[id].end:
            self.peer.grow(id, by)

    @rule(by=increments)
    def grow_the_connections_window(self, by):
        self.peer.grow(0, by)

    @rule(size=windows)
    def set_the_first_window(self, size):
        self.peer.set(SettingCodes.INITIAL_WINDOW_SIZE, size)

    @rule(size=st.sampled_from([16_384, 16_385, 100_000]))
    def set_the_frame_size(self, size):
        self.peer.set(SettingCodes.MAX_FRAME_SIZE, size)

    @rule(size=st.sampled_from([0, 100, 4096, 10_000]))
    def set_the_tables_size(self, size):
        self.peer.set(SettingCodes.HEADER_TABLE_SIZE, size)

    @rule()
    def ping(self):
        self.peer.client.ping(b"12345678")

    @rule(part_bytes=st.sampled_from([1 << 14, 40, 400]), padding=st.sampled_from([0, 1, 255]))
    def rewrite(self, part_bytes, padding):
        rewriting = self.peer.rewriting
        rewriting.part_bytes, rewriting.padding = part_bytes, padding

    @rule(data=st.data(), size=sizes)
    def answer(self, data, size):
        if calls := sorted(self.peer.server.calls):
            id = data.draw(st.sampled_from(calls))
            self.answers[id] = b"a" * size
            self.peer.server.answer(id, b"a" * size)

    @rule(data=st.data())
    def refuse(self, data):
        if calls := sorted(self.peer.server.calls):
            self.peer.server.refuse(data.draw(st.sampled_from(calls)), status_block(5, "no"))

    @rule(size=parts)
    def move_to_server(self, size):
        self.peer.move_to_server(size)

    @rule(size=parts)
    def move_to_client(self, size):
        self.peer.move_to_client(size)

    @invariant()
    def what_is_held_is_counted(self):
        connection = self.peer.server.connection
        answers = connection.answers
        assert not connection.is_over, self.peer.goodbyes or list(self.peer.to_client)[-1:]
        assert answers.held_bytes == held_bytes(self.peer) <= LIMITS.held_bytes
        assert connection.streams.keys().isdisjoint(answers._reset)
        assert answers._blocked.keys() <= connection.streams.keys()
        waiting = [each.id for each in answers._ready if each.pending]
        assert len(waiting) == len(set(waiting))
        # Each that has bytes waits for exactly one window; nobody is forgotten.
        with_bytes = {s.id for s in connection.streams.values() if s.pending}
        assert with_bytes == set(waiting) | set(answers._blocked)
        assert set(waiting).isdisjoint(answers._blocked)
        for id, call in self.peer.server.calls.items():
            assert connection.streams[id] is call

    def teardown(self):
        if not hasattr(self, "peer"):
            return
        peer = self.peer
        self.let_all_end()
        connection = peer.server.connection
        assert peer.server.calls == {}
        assert connection.streams == {}
        assert connection.answers.held_bytes == 0
        assert not connection.answers._ready
        assert connection.answers._blocked == {}
        assert connection._requests._unfinished_bytes == 0
        for id, request in peer.requests.items():
            assert request.end, f"call {id} has no end"
            how = peer.server.ends.get(id)
            if request.end == "answered" and how == "answered":
                assert request.status in ("0", "8")
                if request.status == "0":
                    assert request.answer == message(self.answers[id])
            elif request.end == "answered":
                # By the machine alone: it was too large for what may be unfinished.
                assert request.status == {"refused": "5", None: "8"}[how]
            # h2 has kept every rule.
            assert not request.end.startswith("reset")

    def let_all_end(self):
        """Read everything, and answer everything, until there is nothing to do."""
        peer = self.peer
        peer.settle()
        peer.set(SettingCodes.INITIAL_WINDOW_SIZE, 1 << 20)
        for _ in range(200):
            peer.settle()
            if peer.client.inbound_flow_control_window < 1 << 20:
                peer.grow(0, 1 << 20)
            for id, request in peer.requests.items():
                if not request.end:
                    peer.grow(id, 1 << 20)
                    peer.send(id, 1 << 20)
            peer.settle()
            for id in list(peer.server.calls):
                self.answers[id] = b"end"
                peer.server.answer(id, b"end")
            peer.settle()
            if all(request.end for request in peer.requests.values()):
                return
        raise AssertionError("calls do not end")


#: `make fuzz` plays many more.
EXAMPLES = int(os.environ.get("PERDURE_HTTP2_EXAMPLES", "50"))
Conversation.TestCase.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=60, deadline=None
)
TestConversation = Conversation.TestCase
