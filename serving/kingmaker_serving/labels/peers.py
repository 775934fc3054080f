"""The other pods of a deployment: labels for what only they remember are passed on to those that the operator named.

The address of a pod stands in the ids, but an id alone sends nothing anywhere, and what a pod says is not handed on as
it is: whoever got hold of a key could write any address into an id.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from kingmaker_serving.errors import NOT_JSON, ErrorCode, ServingError
from kingmaker_serving.httpclient import Client, Place, RefusedError, RequestError
from kingmaker_serving.labels.messages import Asked, Labels, Result, read_found, read_results, write
from kingmaker_serving.labels.targets import Targets, TargetsFile

PATIENCE_SECONDS: Final = 300.0
"""For so long labels for a pod that nobody named are worth another try: the operator names pods once they settled,
within about a minute, and a kubelet may take 90 s to bring the file."""
RETRY_SECONDS: Final = 10
_SECONDS: Final = 3.0
_MAX_REPLY_BYTES: Final = 4 * 1024**2
_MAX_MESSAGE: Final = 300
_MOST_REMEMBERED: Final = 4096
_AT_ONCE: Final = 16
_HEADERS: Final = (("content-type", "application/json"),)
_ANSWERS: Final = {400: ErrorCode.INVALID_REQUEST, 404: ErrorCode.NOT_FOUND, 409: ErrorCode.CONFLICT}
"""What a pod may answer to labels beside a number of rows; anything else means that it can't judge now."""


class ForgottenError(Exception):
    """Nobody remembers the request any more, for the reason in the message."""


class Peers:
    """The other pods, as far as the operator named them in the file of targets."""

    def __init__(
        self,
        file: TargetsFile | None,
        client: Client,
        *,
        own: str,
        port: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take who names pods and how to reach them.

        Args:
            file: Names the pods; somebody else refreshes it. None where nobody can: then there are no peers.
            client: Sends.
            own: IP address of this pod, which is no peer.
            port: Management port of every pod.
            clock: Seconds.
        """
        self._file = file
        self._client = client
        self._own = own
        self._port = port
        self._clock = clock
        self._read: Targets | None = None
        self._named: frozenset[str] = frozenset()
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._asked_for: OrderedDict[str, float] = OrderedDict()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def check(self, address: str) -> None:
        """Pass when labels may be sent to the pod with this address.

        Raises:
            ForgottenError: That pod is gone, or was never there.
            ServingError: NOT_READY when it may yet be named; the client shall try again.
        """
        self._follow()
        if self._file is None:
            message = "another server answered, and this one knows no other"
            raise ForgottenError(message)
        if address in self._named:
            return
        if address in self._gone:
            message = "the server that answered is gone"
            raise ForgottenError(message)
        now = self._clock()
        first = self._asked_for.setdefault(address, now)
        _bound(self._asked_for)
        if now - first > PATIENCE_SECONDS:
            message = "nobody knows the server that answered"
            raise ForgottenError(message)
        text = "this server was not told yet of the one that answered; try again"
        raise ServingError(ErrorCode.NOT_READY, text, retry_seconds=RETRY_SECONDS)

    async def judge(self, address: str, labels: Sequence[Labels]) -> list[int | ServingError]:
        """Let a pod take labels for requests that it remembers.

        Args:
            address: Of the pod that answered them.
            labels: Of one request each.

        Returns:
            Rows judged, or what was wrong, one per request.

        Raises:
            ForgottenError: It is gone, and what it remembered with it.
            ServingError: NOT_READY when it can't be asked now.
        """
        self.check(address)
        try:
            results = read_results(await self._ask(address, "feedback", write(list(labels))))
        except NOT_JSON as error:
            raise _unreachable() from error
        if len(results) != len(labels):
            raise _unreachable()
        return [_outcome(result) for result in results]

    async def find(self, ids: Sequence[str]) -> tuple[dict[str, str], bool]:
        """Ask all pods for the request ids that belong to clients' own ids.

        Args:
            ids: Of clients.

        Returns:
            Those that were found, and whether all pods that are there were asked.
        """
        self._follow()
        others = sorted(self._named - {self._own})
        body = write(Asked(list(ids)))
        answers = await asyncio.gather(*(self._find_at(address, body) for address in others))
        wanted = set(ids)
        found = {own: known for answer in answers if answer for own, known in answer.items() if own in wanted}
        return found, all(answer is not None for answer in answers)

    async def _find_at(self, address: str, body: bytes) -> dict[str, str] | None:
        try:
            return read_found(await self._ask(address, "ids", body))
        except ForgottenError:
            return {}
        except (ServingError, *NOT_JSON):
            return None

    async def _ask(self, address: str, path: str, body: bytes) -> bytes:
        place = Place(address, self._port, f"/{path}")
        try:
            async with self._slots:
                response = await self._client.post(place, body, _HEADERS, seconds=_SECONDS, max_bytes=_MAX_REPLY_BYTES)
        except RefusedError as error:
            # Whatever is started there next remembers nothing.
            message = "the server that answered is gone"
            raise ForgottenError(message) from error
        except RequestError as error:
            raise _unreachable() from error
        if response.status != 200:
            raise _unreachable()
        return response.body

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
    return ServingError(ErrorCode.NOT_READY, text, retry_seconds=RETRY_SECONDS)


def _outcome(result: Result) -> int | ServingError:
    if result.matched is not None:
        return result.matched
    code = _ANSWERS.get(result.status or 0)
    return ServingError(code, (result.error or "")[:_MAX_MESSAGE]) if code else _unreachable()
