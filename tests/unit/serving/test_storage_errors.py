"""Which errors of stores' libraries may pass: theirs as they raise them."""

import aiohttp
import pytest
from aiohttp.http_exceptions import BadHttpMessage
from yarl import URL

from kingmaker_serving.storage.errors import classify

REQUEST = aiohttp.RequestInfo(URL("http://store/"), "GET", {}, URL("http://store/"))  # type: ignore[arg-type]


def _answered(status: int, cause: Exception | None) -> BaseException:
    error = aiohttp.ClientResponseError(REQUEST, (), status=status, message="said so")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("status", "cause", "passing"),
    [
        (400, None, False),
        (400, BadHttpMessage("no HTTP at all"), True),
        (403, None, False),
        (412, None, True),
        (416, None, True),
        (503, None, True),
    ],
)
def test_a_status_passes_when_nobody_said_it_or_the_store_may_think_again(
    status: int, cause: Exception | None, passing: bool
) -> None:
    assert classify(_answered(status, cause))[0] is passing
