"""The front door: every call goes through the `Dispatcher`, whichever protocol it comes by.

Bytes and metadata go in; the bytes of a response come out, or a `Rejected`. In between, the dispatcher decodes the
request, checks rate limits and the client's version, calls the handler and measures the call. It knows no protocol:
`transport/` does, and the simulator makes calls without one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any

import structlog
from google.protobuf.message import DecodeError, Message

from perdure.core.errors import Code, Rejected, unavailable
from perdure.frontend.admission import admitting
from perdure.frontend.call import Call
from perdure.frontend.call_metrics import CallMetrics
from perdure.frontend.client_versions import check_versions
from perdure.frontend.rate_limits import RateLimits
from perdure.frontend.registry import SERVICES, Rpc
from perdure.metrics.registry import Registry

log = structlog.get_logger(__name__)

_Answer = Callable[[Any, Call], Awaitable[Any]]


class Dispatcher:
    def __init__(
        self,
        rpcs: Mapping[str, Rpc],
        metrics: Registry,
        check_namespace: Callable[[str], object],
        now: Callable[[], float] = perf_counter,
        is_overloaded: Callable[[], bool] = lambda: False,
    ) -> None:
        """`check_namespace` raises `Rejected` for the name of a namespace that does not exist. `now` is in seconds.

        `is_overloaded`: new work is refused for now.
        """
        self._check_namespace = check_namespace
        self._now = now
        self._is_overloaded = is_overloaded
        self._is_open = False
        self.rate_limits = RateLimits(check_namespace, now)
        self.metrics = CallMetrics(metrics, check_namespace)
        self._by_bytes = {
            name: self._answer(rpc, rpc.request.FromString, _encoded) for name, rpc in rpcs.items()
        }
        self._by_message = {name: self._answer(rpc, _same, _same) for name, rpc in rpcs.items()}

    @property
    def names(self) -> frozenset[str]:
        """The full names of the RPCs that are answered."""
        return frozenset(self._by_bytes)

    def open(self) -> None:
        """Answer calls from now on; before, the node does not know yet which namespaces there are."""
        self._is_open = True

    def answer(self, name: str, encoded: bytes, call: Call) -> Awaitable[bytes]:
        """Answer a call of the RPC with this full name. Raises `Rejected`, also if there is no such RPC."""
        return self._found(self._by_bytes, name)(encoded, call)

    def answer_message(self, name: str, request: Message, call: Call) -> Awaitable[Message | bytes]:
        """Like `answer`, for a protocol that has other bytes: the handler's response comes out as it is."""
        return self._found(self._by_message, name)(request, call)

    def _found(self, answers: Mapping[str, _Answer], name: str) -> _Answer:
        """Return the function that answers calls of an RPC. Raises `Rejected`."""
        if not self._is_open:
            raise unavailable("this node does not serve yet: it is starting")
        answer = answers.get(name)
        if answer is None:
            raise _unknown(name)
        return answer

    def _answer(
        self,
        rpc: Rpc,
        decode: Callable[[Any], Message],
        encode: Callable[[Message | bytes], Message | bytes],
    ) -> _Answer:
        """Return the function that answers calls of one RPC."""
        name, metrics = rpc.name, self.metrics
        handler = admitting(name, rpc.handler, self._is_overloaded)
        check_namespace, rate_limits, now = self._check_namespace, self.rate_limits, self._now

        async def answer(encoded: Any, call: Call) -> Message | bytes:
            began = now()
            namespace, response = "", None
            try:
                request = decode(encoded)
                namespace = getattr(request, "namespace", "")
                if rate_limits.is_on:
                    with rate_limits.admitted(name, namespace, request, call):
                        check_versions(call, check_namespace, namespace)
                        response = encode(await handler(request, call))
                else:
                    check_versions(call, check_namespace, namespace)
                    response = encode(await handler(request, call))
            except Rejected as refusal:
                metrics.refused(name, namespace, refusal.code, now() - began)
                raise
            except DecodeError:
                metrics.refused(name, namespace, Code.INTERNAL, now() - began)
                fault = "grpc: error unmarshalling request: proto: cannot parse invalid wire-format data"
                raise Rejected(Code.INTERNAL, fault) from None
            except asyncio.CancelledError:
                metrics.refused(name, namespace, Code.CANCELLED, now() - began)
                raise
            except Exception as error:
                log.exception("bug: a call failed", operation=name, namespace=namespace)
                metrics.refused(name, namespace, Code.INTERNAL, now() - began)
                raise Rejected(Code.INTERNAL, f"internal error: {error}") from error
            finally:
                if response is None:
                    call.return_tasks()
            metrics.answered(name, namespace, now() - began)
            return response

        return answer


def _encoded(response: Message | bytes) -> bytes:
    return response if isinstance(response, bytes) else response.SerializeToString()


def _same(message: Any) -> Any:
    return message


def _unknown(name: str) -> Rejected:
    """Return the refusal of a call that no handler answers."""
    service, _, method = name.removeprefix("/").rpartition("/")
    if service in (each.full_name for each in SERVICES):
        return Rejected(Code.UNIMPLEMENTED, f"unknown method {method} for service {service}")
    return Rejected(Code.UNIMPLEMENTED, f"unknown service {service}")
