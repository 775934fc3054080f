"""Feedback for what another pod answered: passed on to pods that the operator named, and to nobody else.

The address of the pod that answered stands in the request's id, and whoever knows the key of the ids can write another
one there. So an id alone sends nothing anywhere, and what a pod says is not handed on as it is.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import aiohttp
import msgspec

from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.labels.targets import Targets, TargetsFile
from kingmaker_serving.labels.tokens import Token

PATIENCE_SECONDS: Final = 300.0
"""For so long labels for a pod that nobody named are worth another try: the operator names pods once they settled,
within about a minute, and a kubelet may take 90 s to bring the file."""
_RETRY_SECONDS: Final = 10
_TIMEOUT: Final = aiohttp.ClientTimeout(total=3, connect=1)
_MAX_REPLY_BYTES: Final = 4096
_MAX_MESSAGE: Final = 300
_MOST_REMEMBERED: Final = 4096
_ANSWERS: Final = {400: ErrorCode.INVALID_REQUEST, 404: ErrorCode.NOT_FOUND, 409: ErrorCode.CONFLICT}
"""What a pod may answer to feedback beside 200; anything else means that it can't judge now."""


class _Matched(msgspec.Struct, forbid_unknown_fields=True):
    matched: int


class _Refused(msgspec.Struct, forbid_unknown_fields=True):
    error: str


class ForgottenError(Exception):
    """Nobody remembers the request any more, for the reason in the message."""


class Peers:
    """The other pods of a deployment, as far as the operator named them in the file of targets."""

    def __init__(
        self,
        file: TargetsFile | None,
        http: aiohttp.ClientSession,
        *,
        port: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take who names pods and how to reach them.

        Args:
            file: Names the pods; somebody else refreshes it. None where nobody can: then there are no peers.
            http: Sends.
            port: Management port of every pod.
            clock: Seconds.
        """
        self._file = file
        self._http = http
        self._port = port
        self._clock = clock
        self._read: Targets | None = None
        self._named: frozenset[str] = frozenset()
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._asked_for: OrderedDict[str, float] = OrderedDict()

    def check(self, token: Token) -> None:
        """Pass when feedback may be sent to the pod that an id names.

        Raises:
            ForgottenError: That pod is gone, or was never there.
            ServingError: NOT_READY when it may yet be named; the client shall try again.
        """
        self._follow()
        if self._file is None or token.port != self._port:
            message = "another server answered, and this one knows no other"
            raise ForgottenError(message)
        if token.address in self._named:
            return
        if token.address in self._gone:
            message = "the server that answered is gone"
            raise ForgottenError(message)
        now = self._clock()
        first = self._asked_for.setdefault(token.address, now)
        _bound(self._asked_for)
        if now - first > PATIENCE_SECONDS:
            message = "nobody knows the server that answered"
            raise ForgottenError(message)
        text = "this server was not told yet of the one that answered; try again"
        raise ServingError(ErrorCode.NOT_READY, text, retry_seconds=_RETRY_SECONDS)

    async def judge(self, token: Token, body: bytes) -> int:
        """Let the pod that answered take the labels.

        Args:
            token: Of the request.
            body: The feedback as the client sent it; already read, and found to be feedback.

        Returns:
            Rows judged.

        Raises:
            ForgottenError: It is gone, and what it remembered with it.
            ServingError: What it had to say against the labels; NOT_READY when it can't be asked now.
        """
        self.check(token)
        host = f"[{token.address}]" if ":" in token.address else token.address
        url = f"http://{host}:{self._port}/feedback"
        headers = {"content-type": "application/json"}
        try:
            async with self._http.post(
                url, data=body, headers=headers, timeout=_TIMEOUT, allow_redirects=False
            ) as response:
                return _read(response.status, await _bounded(response))
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, ConnectionRefusedError):
                # Whatever is started there next remembers nothing.
                message = "the server that answered is gone"
                raise ForgottenError(message) from error
            raise _unreachable() from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable() from error

    def _follow(self) -> None:
        current = self._file.current if self._file else None
        if current is self._read:
            return
        self._read = current
        named = current.addresses if current else frozenset()
        self._gone.update(dict.fromkeys(self._named - named))
        for address in named:
            self._gone.pop(address, None)
            self._asked_for.pop(address, None)
        _bound(self._gone)
        self._named = named


def _bound(found: OrderedDict[str, float] | OrderedDict[str, None]) -> None:
    while len(found) > _MOST_REMEMBERED:
        found.popitem(last=False)


def _unreachable() -> ServingError:
    text = "the server that answered can't take labels now; try again"
    return ServingError(ErrorCode.NOT_READY, text, retry_seconds=_RETRY_SECONDS)


def _read(status: int, content: bytes) -> int:
    try:
        if status == 200:
            return msgspec.json.decode(content, type=_Matched).matched
        if status in _ANSWERS:
            said = msgspec.json.decode(content, type=_Refused).error
            raise ServingError(_ANSWERS[status], said[:_MAX_MESSAGE])
    except msgspec.MsgspecError as error:
        raise _unreachable() from error
    raise _unreachable()


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    content = b""
    async for part in response.content.iter_any():
        content += part
        if len(content) > _MAX_REPLY_BYTES:
            raise _unreachable()
    return content
