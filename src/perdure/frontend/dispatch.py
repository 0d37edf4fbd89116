"""Calls the handlers of the registry's table, and measures them, for every protocol that brings calls in.

A handler gets the same from every protocol. How bytes become a request, and a `Rejected` an answer, does,
and is not here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any

import structlog
from google.protobuf.message import DecodeError, Message

from perdure.core.errors import Code, Rejected, going
from perdure.frontend.call import Call
from perdure.frontend.client_versions import check_versions
from perdure.frontend.rate_limits import RateLimits
from perdure.frontend.registry import SERVICES, Rpc
from perdure.metrics.registry import Registry

log = structlog.get_logger(__name__)

GOING = going()

#: Takes the request, or what `decode` makes the request of. Raises `Rejected` and nothing else.
Answer = Callable[[Any, Call], Awaitable[Message | bytes]]


class Dispatcher:
    def __init__(
        self,
        rpcs: Mapping[str, Rpc],
        metrics: Registry,
        check_namespace: Callable[[str], object],
        now: Callable[[], float] = perf_counter,
    ) -> None:
        """`check_namespace` raises `Rejected` for the name of a namespace that is not there. `now` is in seconds."""
        self.rpcs = rpcs
        self._check_namespace = check_namespace
        self._now = now
        self.rate_limits = RateLimits(check_namespace, now)
        self._measured = _Measured(metrics, self.known_or_none)

    def known_or_none(self, namespace: str) -> str:
        """Return the name of a namespace that is there, or an empty one: a metric must not have one a typing error."""
        try:
            self._check_namespace(namespace)
        except Rejected:
            return ""
        return namespace

    def answer(self, rpc: Rpc, decode: Callable[[Any], Message] | None = None) -> Answer:
        """Return what answers calls of one RPC."""
        handler, name, measured = rpc.handler, rpc.name, self._measured
        known, rate_limits, now = self._check_namespace, self.rate_limits, self._now

        async def answer(asked: Any, call: Call) -> Message | bytes:
            began = now()
            namespace, reply = "", None
            try:
                request = asked if decode is None else decode(asked)
                namespace = getattr(request, "namespace", "")
                if rate_limits.is_on:
                    with rate_limits.admitted(name, namespace, request, call):
                        check_versions(call, lambda: known(namespace))
                        reply = await handler(request, call)
                else:
                    check_versions(call, lambda: known(namespace))
                    reply = await handler(request, call)
            except Rejected as refusal:
                measured.refused(name, namespace, refusal.code, now() - began)
                raise
            except DecodeError:
                measured.refused(name, namespace, Code.INTERNAL, now() - began)
                fault = "grpc: error unmarshalling request: proto: cannot parse invalid wire-format data"
                raise Rejected(Code.INTERNAL, fault) from None
            except asyncio.CancelledError:
                measured.refused(name, namespace, Code.CANCELLED, now() - began)
                raise
            except Exception as error:
                log.exception("bug: a call failed", operation=name, namespace=namespace)
                measured.refused(name, namespace, Code.INTERNAL, now() - began)
                raise Rejected(Code.INTERNAL, f"internal error: {error}") from error
            finally:
                if reply is None:
                    call.give_back()
            measured.answered(name, namespace, now() - began)
            return reply

        return answer


def unknown(name: str) -> Rejected:
    """Return the refusal of a call that nobody answers. `name` is as in the registry's table."""
    service, _, method = name.removeprefix("/").rpartition("/")
    if service in (each.full_name for each in SERVICES):
        return Rejected(Code.UNIMPLEMENTED, f"unknown method {method} for service {service}")
    return Rejected(Code.UNIMPLEMENTED, f"unknown service {service}")


class _Measured:
    """Temporal's metrics of its frontend."""

    def __init__(self, metrics: Registry, known_or_none: Callable[[str], str]) -> None:
        self._known_or_none = known_or_none
        labels = ("namespace", "operation", "service_name")
        self._requests = metrics.counter("service_requests", *labels)
        self._latency = metrics.histogram("service_latency", *labels)
        self._errors = metrics.counter("service_error_with_type", "error_type", *labels)

    def answered(self, operation: str, namespace: str, seconds: float) -> None:
        values = (label(namespace), operation, "frontend")
        self._requests.add(values)
        self._latency.observe(seconds, values)

    def refused(self, operation: str, namespace: str, code: Code, seconds: float) -> None:
        namespace = self._known_or_none(namespace)
        self.answered(operation, namespace, seconds)
        error_type = f"serviceerror_{code.name.title().replace('_', '')}"
        self._errors.add((error_type, label(namespace), operation, "frontend"))


def label(namespace: str) -> str:
    """Temporal: what Prometheus would not take in a name becomes an underscore in values too."""
    return namespace.replace("-", "_") if namespace else "_unknown_"
