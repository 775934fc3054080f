"""The messages: generated from their files, and those that clients of others speak."""

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import FieldDescriptor
from tritonclient.grpc import service_pb2

from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.grpc import messages

PROTO = Path(messages.__file__).parent / "proto"


def test_what_is_committed_is_what_the_files_say(tmp_path: Path) -> None:
    files = sorted(str(file.relative_to(PROTO)) for file in PROTO.rglob("*.proto"))
    made = tmp_path / "descriptors.binpb"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", f"--descriptor_set_out={made}", *files]
    subprocess.run(command, check=True)
    assert made.read_bytes() == (PROTO / "descriptors.binpb").read_bytes(), "run `make generate`"


@pytest.mark.parametrize("name", [message.name for message in messages.FILES["open_inference.proto"].message_type])
def test_fields_have_tritons_numbers(name: str) -> None:
    ours = messages.class_of(f"inference.{name}").DESCRIPTOR
    theirs = service_pb2.DESCRIPTOR.message_types_by_name[name]
    assert _fields(ours) - {"properties"} == _fields(theirs)
    for nested in ours.nested_types:
        if not nested.GetOptions().map_entry:
            assert _fields(nested) == _fields(theirs.nested_types_by_name[nested.name])


def _fields(message) -> set[str]:
    """Fields that are the same on the wire are equal; the one that Triton has not is given by its name alone."""
    assert all(field.number == 6 for field in message.fields if field.name == "properties")
    return {_field(field) for field in message.fields}


def _field(field: FieldDescriptor) -> str:
    if field.name == "properties":
        return field.name
    return f"{field.name} {field.number} {field.type} {field.is_repeated} {field.is_packed}"


def test_methods_are_among_tritons() -> None:
    (service,) = messages.FILES["open_inference.proto"].service
    theirs = service_pb2.DESCRIPTOR.services_by_name[service.name]
    assert theirs.full_name == "inference.GRPCInferenceService"
    assert {method.name for method in service.method} <= set(theirs.methods_by_name)


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(ServingError, match=r"no inference\.ModelInferRequest") as caught:
        messages.parse(messages.ModelInferRequest, b"\xff\xff\xff")
    assert caught.value.code is ErrorCode.INVALID_REQUEST
