"""Takes labels, one or many, of whatever pod's answers.

A request counts at the pod where its labels arrive, by what its id says. Other pods are asked for what an id can't
carry alone: answers of very many rows, what challengers said to copies, and the ids that clients gave their requests.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.labels.answers import Value
from kingmaker_serving.labels.ids import RequestId, looks_like_an_id
from kingmaker_serving.labels.messages import (
    JSON,
    LINES,
    Found,
    Labels,
    Result,
    as_result,
    is_lines,
    read_asked,
    read_labels,
    read_passed,
    split,
    write,
    write_batch,
)
from kingmaker_serving.labels.peers import RETRY_SECONDS, ForgottenError, Peers
from kingmaker_serving.labels.verdicts import Verdicts

_TURN: Final = 100
"""Requests of a batch that are looked at before others get their turn: a millisecond or two."""
_PASSED_AT_ONCE: Final = 1000
"""Requests whose labels are passed on in one message."""

T = TypeVar("T")

Outcome = int | ServingError
"""Rows judged, or what was wrong with the labels of one request."""


@dataclass(frozen=True, slots=True)
class LabelsReply:
    """An answer to labels, status 200."""

    body: bytes
    content_type: str = JSON


@dataclass(slots=True)
class _Given:
    """Labels of one request, and what became of them."""

    id: str
    labels: Sequence[Value]
    outcome: Outcome = 0
    elsewhere: str = ""
    """Address of the pod that remembers more of it."""
    is_wide: bool = False


class Judge:
    """Takes the labels of one served model's deployment. Used from the event loop only."""

    def __init__(self, verdicts: Verdicts) -> None:
        """Take what judges single requests."""
        self._verdicts = verdicts
        self.peers: Peers | None = None
        """Who else may be asked; nobody until it is said."""

    def note(self, made: RequestId, own_id: str, answers: np.ndarray | None) -> None:
        """Remember of an answered request what its id does not carry; see `Verdicts.note`."""
        self._verdicts.note(made, own_id, answers)

    async def take(self, body: bytes, content_type: str = JSON) -> LabelsReply:
        """Take what a client sent to `/v2/models/{name}/feedback`.

        Args:
            body: Unpacked.
            content_type: Its header.

        Raises:
            ServingError: What was wrong with all of it; in a batch, what is wrong with one request is in the reply.
        """
        documents = split(body, content_type)
        if documents is None:
            (outcome,) = await self._judge([body])
            if isinstance(outcome, ServingError):
                raise outcome
            return LabelsReply(write(Result(matched=outcome)))
        results = [_result(outcome) for outcome in await self._judge(documents)]
        as_lines = is_lines(content_type)
        return LabelsReply(write_batch(results, as_lines=as_lines), LINES if as_lines else JSON)

    async def take_passed(self, body: bytes) -> LabelsReply:
        """Take what another pod passed on, for requests that this one remembers. It is never passed on again.

        Raises:
            ServingError: INVALID_REQUEST.
        """
        results: list[Result] = []
        async for labels in _in_turns(read_passed(body)):
            try:
                answered = self._verdicts.open(labels.id)
                results.append(Result(matched=self._verdicts.judge_remembered(answered, labels.given())))
            except ServingError as error:
                results.append(as_result(error))
        return LabelsReply(write(results))

    def find(self, body: bytes) -> LabelsReply:
        """Tell another pod the request ids of clients' ids, those that are remembered here.

        Raises:
            ServingError: INVALID_REQUEST.
        """
        known = ((own, self._verdicts.own_ids.find(own)) for own in read_asked(body))
        return LabelsReply(write(Found({own: text for own, text in known if text})))

    async def _judge(self, documents: Sequence[bytes]) -> list[Outcome]:
        """Judge the labels of some requests, in their order."""
        given = [_read(document) async for document in _in_turns(documents)]
        await self._replace_own_ids([one for one in given if not isinstance(one.outcome, ServingError)])
        async for one in _in_turns(given):
            if not isinstance(one.outcome, ServingError):
                one.outcome = self._judge_one(one)
        await self._pass_on([one for one in given if one.elsewhere])
        return [one.outcome for one in given]

    def _judge_one(self, given: _Given) -> Outcome:
        """Judge what can be judged here, and note who remembers more."""
        verdicts = self._verdicts
        try:
            answered = verdicts.open(given.id)
            is_here = not answered.address or answered.address == verdicts.ids.address
            if answered.is_wide:
                if is_here:
                    return verdicts.judge_remembered(answered, given.labels)
                given.is_wide, given.elsewhere = True, answered.address
                return 0
            rows = verdicts.judge(answered, given.labels)
        except ServingError as error:
            return error
        if not is_here:
            given.elsewhere = answered.address
        elif answered.address:
            verdicts.pairs.judge(answered, given.labels)
        return rows

    async def _replace_own_ids(self, given: Sequence[_Given]) -> None:
        """Put request ids in the place of clients' own ids, known here or at the other pods."""
        missing: dict[str, list[_Given]] = {}
        async for one in _in_turns(given):
            if not looks_like_an_id(one.id):
                known = self._verdicts.own_ids.find(one.id)
                if known:
                    one.id = known
                else:
                    missing.setdefault(one.id, []).append(one)
        if not missing or self.peers is None:
            return
        found, is_complete = await self.peers.find(list(missing))
        for own, all_of_it in missing.items():
            for one in all_of_it:
                if own in found:
                    one.id = found[own]
                elif not is_complete:
                    one.outcome = _not_all_asked()

    async def _pass_on(self, given: Sequence[_Given]) -> None:
        """Have the pods that answered take their part."""
        by_address: dict[str, list[_Given]] = {}
        for one in given:
            by_address.setdefault(one.elsewhere, []).append(one)
        await asyncio.gather(*(self._pass_to(address, passed) for address, passed in by_address.items()))

    async def _pass_to(self, address: str, passed: Sequence[_Given]) -> None:
        for at in range(0, len(passed), _PASSED_AT_ONCE):
            part = passed[at : at + _PASSED_AT_ONCE]
            try:
                said = await self._ask(address, part)
            except (ForgottenError, ServingError) as error:
                for one in passed[at:]:
                    self._take_word(one, error)
                return
            for one, outcome in zip(part, said, strict=True):
                self._take_word(one, outcome)

    async def _ask(self, address: str, part: Sequence[_Given]) -> Sequence[Outcome]:
        if self.peers is None:
            message = "another server answered, and this one knows no other"
            raise ForgottenError(message)
        labels = [Labels(one.id, labels=list(one.labels)) for one in part]  # type: ignore[arg-type]  # never None
        return await self.peers.judge(address, labels)

    def _take_word(self, given: _Given, outcome: Outcome | ForgottenError) -> None:
        """Put down what another pod made of labels."""
        if given.is_wide:
            given.outcome = self._verdicts.unmatched(str(outcome)) if isinstance(outcome, ForgottenError) else outcome
        elif not isinstance(outcome, int):
            # They were counted here all the same: only what a challenger said to a copy is not judged by them.
            self._verdicts.counts.unpaired.add()


async def _in_turns(things: Sequence[T]) -> AsyncIterator[T]:
    """Give things one by one, and others their turn now and then."""
    for at, thing in enumerate(things, start=1):
        yield thing
        if at % _TURN == 0:
            await asyncio.sleep(0)


def _read(document: bytes) -> _Given:
    try:
        return _Given(*read_labels(document))
    except ServingError as error:
        return _Given("", (), error)


def _result(outcome: Outcome) -> Result:
    return as_result(outcome) if isinstance(outcome, ServingError) else Result(matched=outcome)


def _not_all_asked() -> ServingError:
    text = "this server does not know the id, and not every other one could be asked; try again"
    return ServingError(ErrorCode.NOT_READY, text, retry_seconds=RETRY_SECONDS)
