"""Envoy's protobuf messages, built from their JSON form. The only place where they are untyped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Imported for their names alone: a message inside an `Any` field is found by its type's name once its module is loaded.
from envoy.extensions.filters.http.lua.v3 import lua_pb2 as _lua  # noqa: F401
from envoy.extensions.filters.http.router.v3 import router_pb2 as _router  # noqa: F401
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as _connection_manager,  # noqa: F401
)
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2 as _previous_hosts  # noqa: F401
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2 as _protocol_options  # noqa: F401
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2, json_format  # type: ignore[import-untyped]  # it comes without types


def message(kind: Any, body: Mapping[str, Any]) -> Any:  # noqa: ANN401  # generated classes have no types
    """Build a message of the class `kind`.

    Raises:
        google.protobuf.json_format.ParseError: `body` has a field that the class does not have.
    """
    return json_format.ParseDict(body, kind())


def serialise(built: Any) -> bytes:  # noqa: ANN401
    """Give a message's bytes: the same for the same content."""
    return bytes(built.SerializeToString(deterministic=True))


def packed(type_url: str, name: str, version: str, body: bytes) -> Any:  # noqa: ANN401
    """Wrap a serialised message as a named resource of incremental xDS."""
    return discovery_pb2.Resource(name=name, version=version, resource=any_pb2.Any(type_url=type_url, value=body))
