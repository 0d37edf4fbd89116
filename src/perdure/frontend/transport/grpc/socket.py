"""The connection of one client: HTTP/2's machine on the event loop, with a task for each call."""

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any

import structlog

from perdure.core.errors import Code, Rejected, going
from perdure.frontend.call import Call
from perdure.frontend.transport.grpc import ends
from perdure.frontend.transport.grpc.methods import Methods
from perdure.frontend.transport.http2.connection import Http2Connection
from perdure.frontend.transport.http2.header_writer import status_block
from perdure.frontend.transport.http2.messages import CallRefused
from perdure.frontend.transport.http2.request_head import seconds
from perdure.frontend.transport.http2.streams import Cancelled, Ended, Received, Stream
from perdure.runtime.call_notes import NOTES

log = structlog.get_logger(__name__)

#: Calls that a connection begins in one turn of the event loop, so that a burst on one does not keep others waiting.
STARTS_A_TURN = 32
#: While a client leaves so many bytes of answers unread, no further calls of it begin.
UNREAD_BYTES_MAX = 8 * 1024 * 1024
#: Bytes of requests that wait until they may begin. More are refused.
WAITING_BYTES_MAX = 64 * 1024 * 1024
#: Messages of a streaming call that wait until the one before is answered. A client that sends more is refused.
WAITING_MESSAGES_MAX = 64
#: Frames that wait while a client does not read what is sent. It is not listened to before it has read them.
UNSENT_FRAMES_MAX = 4096
#: A client must have sent its first bytes of HTTP/2 by then.
GREETING_S = 10.0
#: After so long a silence a client is asked for a sign of life, and cut off if there is none for so long.
SILENCE_S, NO_SIGN_S = 60.0, 20.0
#: A client that reads nothing of its answers for so long is cut off.
UNREAD_S = 60.0
#: How often a server that stops looks whether calls that wait may begin: their client may have read something.
WAITING_S = 0.01

_TOO_MANY = status_block(Code.RESOURCE_EXHAUSTED, "too many requests of this connection wait")


class Socket(asyncio.Protocol):
    def __init__(self, methods: Methods, sockets: set["Socket"]) -> None:
        """`sockets`: the connections of a port; this one is among them as long as it is open."""
        self._methods, self._sockets = methods, sockets
        self._loop = asyncio.get_running_loop()
        self.http = Http2Connection(methods.streaming)
        self._answers = self.http.answers
        self._transport: asyncio.Transport
        #: Requests that have not begun yet, and their bytes.
        self._waiting: OrderedDict[int, Stream] = OrderedDict()
        self._waiting_bytes = 0
        self._begun_in_turn = 0
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._inboxes: dict[int, asyncio.Queue[bytes | None]] = {}
        #: Calls under way whose deadline has passed.
        self._late: set[int] = set()
        #: Answers with tasks that wait for the client's window, and those that wait to be written.
        self._held: dict[int, Call] = {}
        self._leaving: list[Call] = []
        self._can_write = True
        self._will_flush = self._will_begin = False
        now = self._loop.time()
        self._heard_at = self._progress_at = now
        self._pinged_at: float | None = None
        self._sent_bytes = 0

    @property
    def call_count(self) -> int:
        """How many calls have no answer yet."""
        return len(self._tasks) + len(self._waiting)

    # Methods that asyncio calls

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != "h2":
            transport.close()
            return
        self._sockets.add(self)
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        self._sockets.discard(self)
        self._waiting.clear()
        self._cancel_all()
        for call in (*self._held.values(), *self._leaving):
            call.return_tasks()

    def pause_writing(self) -> None:
        self._can_write = False
        self._answers.pause()

    def resume_writing(self) -> None:
        self._can_write = True
        self._answers.resume()
        self._flush()
        self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        for event in self.http.receive(data):
            if type(event) is Stream:
                self._take(event)
            elif type(event) is Cancelled:
                self._cancel(event.stream)
            elif type(event) is Received:
                self._pass_on(event.stream, event.message)
            elif type(event) is Ended:
                self._pass_on(event.stream, None)
        if self._answers.out:
            self._flush_soon()
        if not self._can_write and len(self._answers.out) > UNSENT_FRAMES_MAX:
            self._transport.pause_reading()
        if self.http.is_over:
            self._flush()
            self._transport.close()

    # Calls

    def _take(self, stream: Stream) -> None:
        """Begin a call now, or as soon as it is its turn."""
        if not self._waiting and self._may_begin():
            self._begin(stream)
        elif self._waiting_bytes + len(stream.message) > WAITING_BYTES_MAX:
            self._answers.refuse(stream, _TOO_MANY)
        else:
            self._waiting[stream.id] = stream
            self._waiting_bytes += len(stream.message)
            self._begin_soon()

    def _may_begin(self) -> bool:
        return (
            self._begun_in_turn < STARTS_A_TURN
            and self._can_write
            and self._answers.held_bytes < UNREAD_BYTES_MAX
        )

    def _begin(self, stream: Stream) -> None:
        self._begun_in_turn += 1
        if self._begun_in_turn == 1:
            self._begin_soon()
        serve = self._serve_messages if stream.is_streaming else self._serve
        self._tasks[stream.id] = self._loop.create_task(serve(stream))

    def _begin_soon(self) -> None:
        if not self._will_begin:
            self._will_begin = True
            self._loop.call_soon(self._begin_more)

    def _begin_more(self) -> None:
        self._will_begin = False
        self._begun_in_turn = 0
        while self._waiting and self._may_begin():
            _, stream = self._waiting.popitem(last=False)
            self._waiting_bytes -= len(stream.message)
            self._begin(stream)

    async def _serve(self, stream: Stream) -> None:
        request = stream.head
        deadline, timer = None, None
        if stream.timeout:
            timeout_s = seconds(stream.timeout)
            if timeout_s is None:
                words = f"malformed grpc-timeout: {stream.timeout}"
                self._answers.refuse(stream, status_block(Code.INTERNAL, words))
                self._done(stream)
                return
            deadline = self._loop.time() + timeout_s
            timer = self._loop.call_at(deadline, self._expire, stream.id)
        call = Call(deadline, request.metadata)
        notes: dict[str, str] | None = None
        if self._methods.adds_trailers:
            notes = {}
            NOTES.set(notes)
        message, stream.message = stream.message, b""
        try:
            answer = await self._methods.answer(request.path, message, call)
        except (Exception, asyncio.CancelledError) as error:
            self._answers.refuse(stream, self._end_of(stream, error, notes))
        else:
            self._answers.answer(stream, answer, ends.trailers_of(notes) if notes else b"")
            if call.task_returns:
                self._watch(stream, call)
        finally:
            if timer is not None:
                timer.cancel()
            self._done(stream)

    def _end_of(
        self, stream: Stream, error: BaseException, notes: dict[str, str] | None = None
    ) -> bytes:
        """Return the header block that ends a call which has failed."""
        match error:
            case Rejected():
                return ends.refusal(error, notes)
            case CallRefused():
                return status_block(error.code, error.words)
            case asyncio.CancelledError():
                return ends.LATE if stream.id in self._late else ends.CANCELLED
        log.error("bug: a call failed", operation=stream.head.path, exc_info=error)
        return status_block(Code.INTERNAL, f"internal error: {error}")

    def _done(self, stream: Stream) -> None:
        self._tasks.pop(stream.id, None)
        self._late.discard(stream.id)
        self._flush_soon()

    def _expire(self, id: int) -> None:
        if (task := self._tasks.get(id)) is not None:
            self._late.add(id)
            task.cancel()

    def _cancel(self, stream: Stream) -> None:
        """End the call: its client does not wait any more."""
        # A task that is cancelled before its first step does not come to its end, so it is taken out here.
        if (task := self._tasks.pop(stream.id, None)) is not None:
            task.cancel()
        elif self._waiting.pop(stream.id, None) is not None:
            self._waiting_bytes -= len(stream.message)
        if (call := self._held.pop(stream.id, None)) is not None:
            call.return_tasks()
        self._inboxes.pop(stream.id, None)

    def _cancel_all(self) -> None:
        tasks, self._tasks = self._tasks, {}
        for task in tasks.values():
            task.cancel()

    def _watch(self, stream: Stream, call: Call) -> None:
        """Return what an answer hands over, if the answer cannot be sent."""
        if self._transport.is_closing():
            call.return_tasks()
        elif self.http.streams.get(stream.id) is stream:
            self._held[stream.id] = call
        else:
            self._leaving.append(call)

    # Streaming calls

    def _pass_on(self, stream: Stream, message: bytes | None) -> None:
        """Give a streaming call its next message; None: there are no more."""
        inbox = self._inboxes.setdefault(stream.id, asyncio.Queue())
        if inbox.qsize() >= WAITING_MESSAGES_MAX and message is not None:
            self._answers.refuse(stream, _TOO_MANY)
            self._cancel(stream)
        else:
            inbox.put_nowait(message)

    async def _messages(self, inbox: "asyncio.Queue[bytes | None]") -> AsyncIterator[bytes]:
        while (message := await inbox.get()) is not None:
            yield message

    async def _serve_messages(self, stream: Stream) -> None:
        inbox = self._inboxes.setdefault(stream.id, asyncio.Queue())
        method = self._methods.streaming[stream.head.path]
        try:
            async for answer in method(self._messages(inbox)):
                self._answers.message(stream, answer)
                self._flush_soon()
        except (Exception, asyncio.CancelledError) as error:
            self._answers.refuse(stream, self._end_of(stream, error))
        else:
            self._answers.end(stream)
        self._inboxes.pop(stream.id, None)
        self._done(stream)

    # Writing

    def _flush_soon(self) -> None:
        """Let the answers of one turn of the loop go out in one write."""
        if not self._will_flush:
            self._will_flush = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._will_flush = False
        transport = self._transport
        if not self._can_write or transport.is_closing():
            return
        if self.http.answers.out:
            transport.write(self.http.take())
        # A write that fails closes the connection: its end returns the tasks.
        if (self._held or self._leaving) and not transport.is_closing():
            self._forget_written()
        if self._waiting:
            self._begin_soon()

    def _forget_written(self) -> None:
        """Forget the tasks of answers that are written, be it to a buffer: a client may have them, and started ones."""
        open_streams = self.http.streams
        for id in [id for id in self._held if id not in open_streams]:
            del self._held[id]
        self._leaving.clear()

    # The end

    def look(self) -> None:
        """Cut off a client that is silent or does not read. To be called every few seconds."""
        now = self._loop.time()
        self.http.forgive()
        if self._sent_bytes != self._answers.sent_bytes or not self._is_unread():
            self._sent_bytes, self._progress_at = self._answers.sent_bytes, now
        if self._pinged_at is not None and self._heard_at > self._pinged_at:
            self._pinged_at = None
        is_silent = self._pinged_at is not None and now - self._pinged_at >= NO_SIGN_S
        is_unread = now - self._progress_at >= UNREAD_S
        is_rude = not self.http.is_greeted and now - self._heard_at >= GREETING_S
        if is_silent or is_unread or is_rude:
            self._transport.abort()
        elif self._pinged_at is None and now - self._heard_at >= SILENCE_S:
            self._pinged_at = now
            self.http.ping()
            self._flush()

    def _is_unread(self) -> bool:
        return not self._can_write or bool(self._answers.held_bytes)

    def go_away(self, *, is_last_word: bool) -> None:
        """Tell the client to use another connection."""
        self.http.go_away(is_last_word=is_last_word)
        self._flush()

    async def finish(self) -> None:
        """Wait until all calls are answered."""
        while self.call_count:
            self._begin_soon()
            tasks = list(self._tasks.values())
            await (asyncio.wait(tasks) if tasks else asyncio.sleep(WAITING_S))

    def close(self) -> None:
        """Refuse what is still under way, and close the connection once all of it is sent."""
        block = ends.refusal(going())
        for stream in list(self.http.streams.values()):
            if stream.is_reported and stream.end is None:
                self._answers.refuse(stream, block)
        self._cancel_all()
        self._waiting.clear()
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()
