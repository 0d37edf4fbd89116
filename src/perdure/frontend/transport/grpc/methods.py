"""All methods of the port, by their paths: those of the API, health and reflection."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from perdure.frontend.call import Call
from perdure.frontend.dispatch import Dispatcher
from perdure.frontend.registry import OPERATOR_SERVICE, WORKFLOW_SERVICE
from perdure.frontend.transport.grpc import health, reflection
from perdure.frontend.transport.grpc.health import Health
from perdure.frontend.transport.grpc.reflection import Reflection

_ADMIN_SERVICE = "temporal.api.adminservice.v1.AdminService"

#: It gets the messages of the client and yields the answers.
Streaming = Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]


class Methods:
    def __init__(
        self, dispatcher: Dispatcher, is_serving: Callable[[], bool], *, adds_trailers: bool = False
    ) -> None:
        """`adds_trailers`: the trailers of each answer name the workflow that the call was about."""
        self._answer = dispatcher.answer
        self.adds_trailers = adds_trailers
        api = (WORKFLOW_SERVICE.full_name, OPERATOR_SERVICE.full_name)
        self.health = Health((*api, _ADMIN_SERVICE), is_serving)
        services = (*api, health.SERVICE, *reflection.SERVICES)
        reflections = [Reflection(package, services) for package in reflection.PACKAGES]
        self.streaming: Mapping[str, Streaming] = {
            health.WATCH: self.health.watch,
            **{each.path: each.answer for each in reflections},
        }

    def answer(self, path: str, message: bytes, call: Call) -> Awaitable[bytes]:
        """Answer a unary call. Raises `Rejected` and `CallRefused`."""
        if path == health.CHECK:
            return self._check(message)
        return self._answer(path, message, call)

    async def _check(self, message: bytes) -> bytes:
        return self.health.check(message)
