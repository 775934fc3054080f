"""Methods whose answer is there at once."""

from collections.abc import Callable
from typing import Any

from kingmaker_serving.errors import ServingError
from kingmaker_serving.grpc.call import Call
from kingmaker_serving.grpc.messages import parse


class Unary:
    """One message in, one out."""

    is_stream = is_lasting = False

    def __init__(self, kind: Any, work: Callable[[Any], Any]) -> None:  # noqa: ANN401  # protobuf has no types
        """Take the request's class, None where nothing in it is read, and what gives the response."""
        self._kind = kind
        self._work = work

    def handle(self, call: Call, message: bytes) -> None:
        """Answer.

        Raises:
            ServingError: The request is malformed, or what the work raises.
        """
        call.answer(self._work(parse(self._kind, message) if self._kind else None).SerializeToString())

    def refused(self, call: Call, error: ServingError) -> None:
        """Nobody counts these."""
