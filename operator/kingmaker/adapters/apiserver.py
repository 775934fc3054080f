"""One connection to the API server: requests with JSON bodies, and what its errors mean."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import client, config

from kingmaker.ports import Body, ClusterError, ConflictError, NotFoundError, RefusedError, UnavailableError

Permit = Callable[[], None]
"""Called right before a write is sent. Where this process may not write any more, it does not return."""

_APPLY: Final = "application/apply-patch+yaml"
_TIMEOUT: Final = 15.0
_FENCE: Final = re.compile(r"ValidatingAdmissionPolicy '[^']*-leader' ")
"""The chart's policy that lets only the leader write; what it says is about the moment, not about the object."""


def always() -> None:
    """Permit: there is no other process that could write."""


class ApiServer:
    """Sends requests over a pool of connections of its own."""

    def __init__(self, api: client.ApiClient, *, permit: Permit = always, timeout_seconds: float = _TIMEOUT) -> None:
        """Take a configured client; a request that takes longer than `timeout_seconds` has failed."""
        self._api = api
        self._permit = permit
        self._timeout = timeout_seconds

    @classmethod
    async def connect(
        cls, kubeconfig: str | None, *, permit: Permit = always, timeout_seconds: float = _TIMEOUT
    ) -> ApiServer:
        """Connect by a kubeconfig, or by the pod's own ServiceAccount when there is none."""
        settings = client.Configuration()
        if kubeconfig:
            await config.load_kube_config(config_file=kubeconfig, client_configuration=settings)
        else:
            config.load_incluster_config(client_configuration=settings)
        return cls(client.ApiClient(settings), permit=permit, timeout_seconds=timeout_seconds)

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Body | None = None,
        content_type: str = _APPLY,
    ) -> dict[str, Any]:
        """Send a request and give the answer's body; `content_type` is that of a PATCH.

        Raises:
            ClusterError: The narrowest of `ports` that says what the API server answered.
        """
        headers = {"Accept": "application/json"}
        headers["Content-Type"] = content_type if method == "PATCH" else "application/json"
        # Only the URL and the credentials are the client's; bodies go as they are.
        _, url, headers, _, _ = await self._api.param_serialize(
            method, path, header_params=headers, auth_settings=["BearerToken"]
        )
        if query:
            url = f"{url}?{urlencode(query)}"
        what = f"{method} {path}"
        if method != "GET":
            self._permit()
        try:
            response = await self._api.rest_client.request(
                method, url, headers=headers, body=body, _request_timeout=self._timeout
            )
            text = await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            msg = f"{what}: the API server can't be reached: {error or type(error).__name__}"
            raise UnavailableError(msg) from error
        if response.status < 300:
            return dict(json.loads(text))
        raise _error(what, response.status, text)


def _error(what: str, status: int, text: bytes) -> ClusterError:
    try:
        said = str(json.loads(text).get("message", ""))
    except (ValueError, AttributeError):
        said = text[:200].decode(errors="replace")
    message = f"{what}: {status} {said}"
    if _FENCE.search(said):
        # Who has just become leader may be faster than the API server's knowledge of it, by milliseconds.
        return ConflictError(message)
    match status:
        case 404 if "namespaces" not in said.split('"')[0]:
            return NotFoundError(message)
        case 409:
            return ConflictError(message)
        case 400 | 403 | 404 | 422:
            return RefusedError(message)
        case _:
            return UnavailableError(message)
