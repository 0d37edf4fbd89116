"""grpc.health.v1: whether the server answers calls, for load balancers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

from google.protobuf.message import DecodeError

from perdure.core.errors import Code
from perdure.frontend.transport.grpc.described import add_file, message
from perdure.frontend.transport.http2.messages import CallRefused

SERVICE = "grpc.health.v1.Health"
CHECK, WATCH = f"/{SERVICE}/Check", f"/{SERVICE}/Watch"
#: How often a watched health is looked at.
WATCH_S = 0.5
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3

add_file(
    "grpc/health/v1/health.proto",
    "grpc.health.v1",
    {
        "HealthCheckRequest": ["string service 1"],
        "HealthCheckResponse": [
            "enum ServingStatus UNKNOWN SERVING NOT_SERVING SERVICE_UNKNOWN",
            "HealthCheckResponse.ServingStatus status 1",
        ],
    },
    "Health",
    [
        "Check HealthCheckRequest HealthCheckResponse",
        "Watch HealthCheckRequest stream HealthCheckResponse",
    ],
)
_Request = message("grpc.health.v1.HealthCheckRequest")
_Response = message("grpc.health.v1.HealthCheckResponse")


class Health:
    def __init__(self, services: Iterable[str], is_serving: Callable[[], bool]) -> None:
        """`services`: the names that clients may ask for, besides the empty one, which is the server."""
        self._names = frozenset(("", *services))
        self._is_serving = is_serving
        self._is_draining = False

    def drain(self) -> None:
        """Report no health from now on."""
        self._is_draining = True

    def check(self, encoded: bytes) -> bytes:
        """Raises `CallRefused`."""
        if _service(encoded) not in self._names:
            raise CallRefused(Code.NOT_FOUND, "unknown service")
        return self._response(self._status())

    async def watch(self, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the health of now, and then each new one. Raises `CallRefused`."""
        service = _service(await anext(requests, b""))
        said = None
        while True:
            status = self._status() if service in self._names else SERVICE_UNKNOWN
            if status != said:
                yield self._response(status)
                said = status
            if self._is_draining:
                return
            await asyncio.sleep(WATCH_S)

    def _status(self) -> int:
        return SERVING if self._is_serving() and not self._is_draining else NOT_SERVING

    def _response(self, status: int) -> bytes:
        encoded: bytes = _Response(status=status).SerializeToString()
        return encoded


def _service(encoded: bytes) -> str:
    try:
        service: str = _Request.FromString(encoded).service
    except DecodeError:
        raise CallRefused(Code.INTERNAL, "cannot decode the request") from None
    return service
