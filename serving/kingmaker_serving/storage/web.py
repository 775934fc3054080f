"""Files behind http:// and https://: redirects within one host only, credentials for that host alone."""

import http.client
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, Final
from urllib.parse import unquote, urlsplit

from typing_extensions import override

from kingmaker_serving.storage.stream import (
    CHUNK_BYTES,
    LastingError,
    Opener,
    PassingError,
    Stream,
    advise,
    is_passing_status,
)

AUTHORIZATION: Final = "HTTP_AUTHORIZATION"
"""Variable with the value of the header that servers ask for, such as `Bearer ...`."""
_READ_SECONDS: Final = 30.0


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows redirects within one host only: another one has not been named by anybody."""

    @override
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Follow, or refuse with the host that was named."""
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        downgraded = before.scheme == "https" and after.scheme != "https"
        if (before.hostname, before.port) != (after.hostname, after.port) or downgraded:
            elsewhere = f"{after.scheme}://{after.netloc.rpartition('@')[2]}"
            message = f"it redirects to {elsewhere}; name the address where the file is"
            raise LastingError(message)
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None:
            for name, value in req.unredirected_hdrs.items():
                following.add_unredirected_header(name, value)
        return following


def web_opener(uri: str, environment: Mapping[str, str]) -> Opener:
    """Open by HTTP; a user and password in the address become the header that they stand for.

    Raises:
        LastingError: The address has no host.
    """
    parts = urlsplit(uri)
    if not parts.hostname:
        message = "the address has no host; write https://HOST/PATH"
        raise LastingError(message)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()
    headers = {"user-agent": "kingmaker-serving", "accept-encoding": "identity"}
    request = urllib.request.Request(bare, headers=headers)  # noqa: S310  # http(s) only
    authorization = environment.get(AUTHORIZATION, "")
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {b64encode(pair.encode()).decode()}"
    if authorization:
        request.add_unredirected_header("authorization", authorization.strip())
    web = urllib.request.build_opener(_SameHost())
    return lambda: _open(web, request)


@contextmanager
def _open(web: urllib.request.OpenerDirector, request: urllib.request.Request) -> Iterator[Stream]:
    try:
        with web.open(request, timeout=_READ_SECONDS) as response:
            if response.status != http.client.OK:
                message = f"HTTP status {response.status} where 200 was expected"
                raise PassingError(message)
            length = response.headers.get("content-length", "")
            yield Stream(_chunks(response), int(length) if length.isdigit() else None)
    except urllib.error.HTTPError as error:
        error.close()
        if is_passing_status(error.code):
            message = f"HTTP status {error.code}"
            raise PassingError(message) from error
        message = f"HTTP status {error.code} {error.reason}: {advise(error.code)}"
        raise LastingError(message) from error
    except http.client.InvalidURL as error:
        message = "the address is not one that can be asked for; check it"
        raise LastingError(message) from error


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := response.read1(CHUNK_BYTES):
            yield chunk
    except http.client.IncompleteRead:
        # The bytes that came are counted by whoever reads, and compared with the length.
        return
