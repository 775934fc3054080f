"""Keep S3's library from following redirects: to another host, aiohttp would send on all headers but one.

A session token is among them. S3's own way to name another region, which signs the request anew, is not affected.
"""

from typing import Any

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession
from typing_extensions import override


class UnredirectedSession(AIOHTTPSession):  # type: ignore[misc]  # the package is untyped
    """The session that aiobotocore uses, but like botocore's own: a redirect is an answer as others are."""

    @override
    async def _get_session(self, proxy_url: str | None) -> "_Unredirected":
        """Give what requests go through."""
        return _Unredirected(await super()._get_session(proxy_url))


class _Unredirected:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def request(self, method: str, **arguments: Any) -> aiohttp.ClientResponse:  # noqa: ANN401  # aiohttp's own
        """Send a request as it is told, and no other."""
        return await self._session.request(method, **arguments, allow_redirects=False)
