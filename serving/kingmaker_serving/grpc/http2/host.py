"""What connections ask of whoever answers their streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kingmaker_serving.grpc.http2.hpack import Field
from kingmaker_serving.grpc.http2.stream import Stream

if TYPE_CHECKING:
    from kingmaker_serving.grpc.http2.connection import Connection


class Host(Protocol):
    """Who answers the streams of all connections."""

    @property
    def is_draining(self) -> bool:
        """Whether connections shall end as soon as their streams have."""

    def read_head(self, fields: list[Field]) -> object:
        """Give what a request's head says; called once for equal heads in a row.

        Raises:
            ValueError: The head is malformed.
        """

    def open(self, connection: Connection, stream_id: int, head: object) -> Stream:
        """Begin a stream."""

    def connected(self, connection: Connection) -> None:
        """Know of a connection."""

    def disconnected(self, connection: Connection) -> None:
        """Know that it is gone."""
