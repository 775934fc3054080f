"""`grpc.reflection.v1` and `v1alpha`: what can be called here. The two differ in name only."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from kingmaker_serving.errors import ServingError
from kingmaker_serving.grpc import messages
from kingmaker_serving.grpc.call import Call
from kingmaker_serving.grpc.status import Status

VERSIONS: Final = ("v1", "v1alpha")


def service_name(version: str) -> str:
    """Give the full name of a version's service."""
    return f"grpc.reflection.{version}.ServerReflection"


class Reflection:
    """Answers `ServerReflectionInfo` of one version."""

    is_stream = is_lasting = True

    def __init__(self, version: str, services: frozenset[str]) -> None:
        """Take the version and the full names of all services here."""
        self._request = messages.class_of(f"grpc.reflection.{version}.ServerReflectionRequest")
        self._response = messages.class_of(f"grpc.reflection.{version}.ServerReflectionResponse")
        self._services = services
        self._answers: Mapping[str, Callable[[Any, Any], None]] = {
            "file_by_filename": self._file_by_name,
            "file_containing_symbol": self._file_of_symbol,
            "list_services": self._list,
        }

    def methods(self) -> Mapping[str, Any]:
        """Give what answers each method of the service, by its name."""
        return {"ServerReflectionInfo": self}

    def handle(self, call: Call, message: bytes) -> None:
        """Answer one of a call's questions.

        Raises:
            ServingError: It is malformed.
        """
        request = messages.parse(self._request, message)
        response = self._response(valid_host=request.host, original_request=request)
        kind = request.WhichOneof("message_request")
        answer = self._answers.get(kind)
        if answer is None:
            # No message here has extensions, and no other question is known.
            _refuse(response, Status.NOT_FOUND, f"there is nothing to say to {kind}")
        else:
            answer(request, response)
        call.send(response.SerializeToString())

    def refused(self, call: Call, error: ServingError) -> None:
        """Nobody counts these."""

    def _file_by_name(self, request: Any, response: Any) -> None:  # noqa: ANN401  # protobuf has no types
        file = messages.FILES.get(request.file_by_filename)
        if file is None:
            _refuse(response, Status.NOT_FOUND, f"there is no file {request.file_by_filename[:200]!r}")
        else:
            response.file_descriptor_response.file_descriptor_proto.append(file.SerializeToString())

    def _file_of_symbol(self, request: Any, response: Any) -> None:  # noqa: ANN401
        try:
            file = messages.find_file(request.file_containing_symbol)
        except KeyError:
            _refuse(response, Status.NOT_FOUND, f"there is no symbol {request.file_containing_symbol[:200]!r}")
        else:
            response.file_descriptor_response.file_descriptor_proto.append(file.SerializeToString())

    def _list(self, request: Any, response: Any) -> None:  # noqa: ANN401
        del request
        for name in sorted(self._services):
            response.list_services_response.service.add(name=name)


def _refuse(response: Any, status: Status, message: str) -> None:  # noqa: ANN401
    response.error_response.error_code = status
    response.error_response.error_message = message
