"""The protobuf messages, built from `proto/`, which `make generate` turns into `descriptors.binpb`.

They live in a pool of their own: other programs' classes for the same package, such as those of `tritonclient`, may be
in the same process, and protobuf takes every name only once per pool.
"""

from pathlib import Path
from typing import Any, Final

from google.protobuf import descriptor_pb2  # type: ignore[import-untyped]  # it comes without types
from google.protobuf.descriptor_pool import DescriptorPool  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from google.protobuf.message_factory import GetMessageClass  # type: ignore[import-untyped]

from kingmaker_serving.errors import ErrorCode, ServingError

_PROTO: Final = Path(__file__).parent / "proto"
_FILES: Final = descriptor_pb2.FileDescriptorSet.FromString((_PROTO / "descriptors.binpb").read_bytes()).file
_POOL: Final = DescriptorPool()
for _file in _FILES:
    _POOL.Add(_file)

FILES: Final[dict[str, Any]] = {file.name: file for file in _FILES}
"""`FileDescriptorProto` by file name. None imports another one."""


def find_file(symbol: str) -> Any:  # noqa: ANN401  # protobuf has no types
    """Give the `FileDescriptorProto` that defines a message, field, service or method.

    Raises:
        KeyError: None does.
    """
    return FILES[_POOL.FindFileContainingSymbol(symbol).name]


def parse(kind: Any, content: bytes) -> Any:  # noqa: ANN401
    """Read a message of a class.

    Raises:
        ServingError: INVALID_REQUEST.
    """
    try:
        return kind.FromString(content)
    except DecodeError as error:
        message = f"the message is no {kind.DESCRIPTOR.full_name}: {str(error)[:200]}"
        raise ServingError(ErrorCode.INVALID_REQUEST, message) from error


def class_of(name: str) -> Any:  # noqa: ANN401
    """Give the class of a message by its full name."""
    return GetMessageClass(_POOL.FindMessageTypeByName(name))


ServerLiveResponse: Final = class_of("inference.ServerLiveResponse")
ServerReadyResponse: Final = class_of("inference.ServerReadyResponse")
ModelReadyRequest: Final = class_of("inference.ModelReadyRequest")
ModelReadyResponse: Final = class_of("inference.ModelReadyResponse")
ServerMetadataResponse: Final = class_of("inference.ServerMetadataResponse")
ModelMetadataRequest: Final = class_of("inference.ModelMetadataRequest")
ModelMetadataResponse: Final = class_of("inference.ModelMetadataResponse")
ModelInferRequest: Final = class_of("inference.ModelInferRequest")
ModelInferResponse: Final = class_of("inference.ModelInferResponse")
RepositoryIndexRequest: Final = class_of("inference.RepositoryIndexRequest")
RepositoryIndexResponse: Final = class_of("inference.RepositoryIndexResponse")

HealthCheckRequest: Final = class_of("grpc.health.v1.HealthCheckRequest")
HealthCheckResponse: Final = class_of("grpc.health.v1.HealthCheckResponse")
HealthListResponse: Final = class_of("grpc.health.v1.HealthListResponse")
