"""`grpc.health.v1.Health`: whether this server should be sent calls. Source: gRPC, "GRPC health checking protocol"."""

from collections.abc import Mapping
from typing import Any, Final

from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.grpc import messages
from kingmaker_serving.grpc.call import Call
from kingmaker_serving.grpc.methods import Unary

SERVICE: Final = "grpc.health.v1.Health"
_SERVING, _NOT_SERVING, _UNKNOWN = 1, 2, 3


class Health:
    """The state of a server's services; all of them share it."""

    def __init__(self, services: frozenset[str]) -> None:
        """Begin as not serving.

        Args:
            services: Full names of what may be asked for; the empty name is the server.
        """
        self._services = services | {""}
        self._status = _NOT_SERVING
        self._watch = _Watch(self)

    def set(self, *, is_serving: bool) -> None:
        """Say it, also to who watches."""
        status = _SERVING if is_serving else _NOT_SERVING
        if status != self._status:
            self._status = status
            self._watch.tell()

    def status(self, service: str) -> int:
        """Give a service's status."""
        return self._status if service in self._services else _UNKNOWN

    def methods(self) -> Mapping[str, Any]:
        """Give what answers each method of the service, by its name."""
        return {
            "Check": Unary(messages.HealthCheckRequest, self._check),
            "List": Unary(None, self._list),
            "Watch": self._watch,
        }

    def _check(self, request: Any) -> Any:  # noqa: ANN401  # protobuf has no types
        status = self.status(request.service)
        if status == _UNKNOWN:
            message = f"service {request.service[:200]!r} is unknown; there are {sorted(self._services)}"
            raise ServingError(ErrorCode.NOT_FOUND, message)
        return messages.HealthCheckResponse(status=status)

    def _list(self, _: Any) -> Any:  # noqa: ANN401
        response = messages.HealthListResponse()
        for service in sorted(self._services):
            response.statuses[service].status = self._status
        return response


class _Watch:
    """Tells a service's status now and whenever it changes."""

    is_stream = False
    is_lasting = True

    def __init__(self, health: Health) -> None:
        self._health = health
        self._calls: dict[Call, str] = {}

    def handle(self, call: Call, message: bytes) -> None:
        service = messages.parse(messages.HealthCheckRequest, message).service
        self._calls[call] = service
        call.on_lost = lambda: self._forget(call)
        self._send(call, service)

    def refused(self, call: Call, error: ServingError) -> None:
        del error
        self._forget(call)

    def tell(self) -> None:
        for call, service in self._calls.items():
            if self._health.status(service) != _UNKNOWN:
                self._send(call, service)

    def _send(self, call: Call, service: str) -> None:
        call.send(messages.HealthCheckResponse(status=self._health.status(service)).SerializeToString())

    def _forget(self, call: Call) -> None:
        self._calls.pop(call, None)
