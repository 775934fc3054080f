"""Labels as they come, and what is made of them."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kingmaker_serving.counts.labelled import LabelCounts
from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.labels.ids import Ids
from kingmaker_serving.labels.judge import Judge
from kingmaker_serving.labels.keys import Keys
from kingmaker_serving.labels.messages import MOST_BYTES, MOST_LABELS
from kingmaker_serving.labels.peers import ForgottenError
from kingmaker_serving.labels.verdicts import Verdicts
from kingmaker_serving.protocol.signature import Task, TaskType

CLASSES = Task(TaskType.CLASSIFICATION, "label")
PRICES = Task(TaskType.REGRESSION, "price", error_tolerance="0.5")
KEYS = Keys(None)


class Pod:
    """One pod: answers, and takes labels."""

    def __init__(
        self, address: str = "10.0.0.1", *, model: str = "m", task: Task | None = CLASSES, **kept: Any
    ) -> None:
        self.counts = LabelCounts()
        digest = "sha256:" + model.encode().hex().ljust(64, "0")
        self.ids = Ids(
            kept.get("keys", KEYS), deployment="churn", model=model, digest=digest, task=task, address=address
        )
        self.verdicts = Verdicts(self.ids, self.counts)
        self.judge = Judge(self.verdicts)

    def answer(self, answers: Any, *, decision: int = 7, own: str = "", is_copied: bool = False) -> str:
        array = np.asarray(answers)
        made = self.ids.make(decision, array, is_copied=is_copied)
        self.judge.note(made, own, array)
        return made.text

    async def take(self, body: Any, content_type: str = "application/json") -> Any:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        reply = await self.judge.take(raw, content_type)
        if reply.content_type != "application/json":
            return [json.loads(line) for line in reply.body.splitlines()]
        return json.loads(reply.body)

    async def refused(self, body: Any) -> ServingError:
        with pytest.raises(ServingError) as caught:
            await self.take(body)
        return caught.value

    @property
    def rows(self) -> dict[tuple[str, str, str], int]:
        """Judged rows by model, decision and outcome."""
        return {(model, decision, outcome): n for (model, _, decision, outcome), n in self.counts.rows.counts.items()}


class Others:
    """Other pods, asked as over the network; those in `away` do not answer."""

    def __init__(self, *pods: Pod) -> None:
        self.pods = {pod.ids.address: pod for pod in pods}
        self.away: dict[str, Exception] = {}
        self.asked = 0

    async def judge(self, address: str, labels: Any) -> list[int | ServingError]:
        self.asked += 1
        if address in self.away:
            raise self.away[address]
        body = json.dumps([{"id": one.id, "labels": one.labels} for one in labels]).encode()
        results = json.loads((await self.pods[address].judge.take_passed(body)).body)
        codes = {400: ErrorCode.INVALID_REQUEST, 404: ErrorCode.NOT_FOUND, 409: ErrorCode.CONFLICT}
        return [r["matched"] if "matched" in r else ServingError(codes[r["status"]], r["error"]) for r in results]

    async def find(self, ids: Any) -> tuple[dict[str, str], bool]:
        self.asked += 1
        body = json.dumps({"ids": ids}).encode()
        found: dict[str, str] = {}
        for address, pod in self.pods.items():
            if address not in self.away:
                found |= json.loads(pod.judge.find(body).body)["found"]
        return found, not self.away


def introduce(*pods: Pod) -> Others:
    others = Others(*pods)
    for pod in pods:
        pod.judge.peers = others  # type: ignore[assignment]  # the same two questions
    return others


async def test_any_pod_judges_by_the_id_alone() -> None:
    text = Pod(model="churn-1").answer([0, 1, 1])
    other = Pod("10.0.0.2", model="churn-2", task=PRICES)
    assert await other.take({"id": text, "labels": [0, 1, 0]}) == {"matched": 3}
    assert other.rows == {("churn-1", "7", "correct"): 2, ("churn-1", "7", "wrong"): 1}
    assert other.counts.requests.sum() == other.counts.classes.sum() == 1


async def test_a_regression_is_judged_by_the_tolerance_of_its_own_model() -> None:
    maker, other = Pod(model="price-1", task=PRICES), Pod("10.0.0.2", model="churn-2")
    for predicted, label in ((2.0, 2.5), (6.0, 4.0)):
        text = maker.answer(np.array([predicted]), decision=9)
        assert await other.take({"id": text, "label": label}) == {"matched": 1}
    assert other.rows == {("price-1", "9", "correct"): 1, ("price-1", "9", "wrong"): 1}
    assert {key[3:] for key in other.counts.errors.counts} == {("under", "k-2"), ("over", "k2")}


async def test_labels_for_a_request_count_once() -> None:
    pod = Pod()
    text = pod.answer([1])
    assert await pod.take({"id": text, "label": 0}) == {"matched": 1}
    assert (await pod.refused({"id": text, "label": 1})).code is ErrorCode.CONFLICT
    assert pod.rows == {("m", "7", "wrong"): 1}
    assert pod.counts.repeated.sum() == 1


async def test_a_batch_takes_what_it_can_and_says_the_rest_line_by_line() -> None:
    pod = Pod()
    first, second, third = (pod.answer([1]), pod.answer([1, 0]), pod.answer(np.array(["a"], dtype=object)))
    lines = [
        {"id": first, "label": 1},
        {"id": first, "label": 1},
        {"id": second, "labels": [1]},
        {"id": third, "label": "a"},
        {"id": "nobody's", "label": 1},
        {"label": 1},
    ]
    body = b"\n\n".join(json.dumps(line).encode() for line in lines) + b"\n{"
    *results, total = await pod.take(body, "application/jsonl; charset=utf-8")
    assert [result.get("status", "taken") for result in results] == ["taken", 409, 400, "taken", 404, 400, 400]
    assert total == {"total": {"accepted": 2, "failed": 5, "matched": 2}}
    assert pod.counts.unmatched.sum() == 1


async def test_a_list_is_a_batch_too() -> None:
    pod = Pod()
    body = [{"id": pod.answer([1]), "label": 1} for _ in range(250)]
    reply = await pod.take(body)
    assert reply["results"] == [{"matched": 1}] * 250
    assert reply["total"] == {"accepted": 250, "failed": 0, "matched": 250}
    assert pod.rows == {("m", "7", "correct"): 250}


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/json"])
async def test_a_batch_is_bounded(kind: str) -> None:
    line = b'{"id":"x","label":1}'
    many = [line] * (MOST_LABELS + 1)
    body = b"\n".join(many) if kind.endswith("ndjson") else b"[" + b",".join(many) + b"]"
    with pytest.raises(ServingError, match="10001 requests") as caught:
        await Pod().judge.take(body, kind)
    assert caught.value.code.status == 413
    with pytest.raises(ServingError, match="send several batches") as caught:
        await Pod().judge.take(b" " * (MOST_BYTES + 1), kind)
    assert caught.value.code.status == 413


@pytest.mark.parametrize("body", [b"", b" \n\n"])
async def test_a_batch_of_nothing_is_taken(body: bytes) -> None:
    assert await Pod().take(body, "application/x-ndjson") == [{"total": {"accepted": 0, "failed": 0, "matched": 0}}]
    assert (await Pod().take([]))["results"] == []


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0], "1 labels for a request of 2 rows"),
        ([0, "1"], "label 1 is str; the model's answers are a finite number of 64 bits each"),
        ([0, None], "got null"),
        ([0, 10**30], "label 1 is int"),
        ([0, 10**400], "label 1 is int"),
        ([], "empty list"),
        ([0, "x" * 1025], "length <= 1024"),
        ([0, [1]], "got array"),
    ],
)
async def test_labels_that_do_not_fit_are_refused_and_count_nothing(labels: list[Any], words: str) -> None:
    pod = Pod()
    text = pod.answer([0, 1])
    error = await pod.refused({"id": text, "labels": labels})
    assert words in error.message
    assert error.code.status == 400
    assert pod.rows == {}
    assert await pod.take({"id": text, "labels": [0, 1]}) == {"matched": 2}


async def test_a_model_without_a_task_says_why_it_can_t_be_judged() -> None:
    pod = Pod(task=None)
    assert "spec.task" in (await pod.refused({"id": pod.answer([1]), "label": 1})).message


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
async def test_no_body_breaks_a_server(body: bytes) -> None:
    pod = Pod()
    for kind in ("application/json", "application/x-ndjson"):
        try:
            await pod.judge.take(body, kind)
        except ServingError as error:
            assert error.code.status in {400, 404}  # noqa: PT017  # anything else fails here


async def test_wide_answers_are_judged_where_they_are_remembered() -> None:
    first, second = Pod("10.0.0.1"), Pod("10.0.0.2", model="other")
    others = introduce(first, second)
    text = first.answer([1] * 300)
    assert await second.take({"id": text, "labels": [1] * 299 + [0]}) == {"matched": 300}
    assert (first.rows, second.rows) == ({("m", "7", "correct"): 299, ("m", "7", "wrong"): 1}, {})
    assert (await second.refused({"id": text, "labels": [1] * 300})).code is ErrorCode.CONFLICT
    assert (await first.refused({"id": text, "labels": [1] * 300})).code is ErrorCode.CONFLICT

    gone = first.answer([1] * 300)
    others.away["10.0.0.1"] = ForgottenError("the server that answered is gone")
    assert "is gone" in (await second.refused({"id": gone, "labels": [1] * 300})).message
    assert second.counts.unmatched.sum() == 1


async def test_wide_answers_that_are_forgotten_are_unmatched_once() -> None:
    first, second = Pod("10.0.0.1"), Pod("10.0.0.2")
    introduce(first, second)
    made = first.ids.make(7, np.ones(300))
    error = await second.refused({"id": made.text, "labels": [1] * 300})
    assert error.code is ErrorCode.NOT_FOUND
    assert first.counts.unmatched.sum() + second.counts.unmatched.sum() == 1


async def test_labels_of_a_copied_request_count_here_and_judge_the_challenger_there() -> None:
    first, second = Pod("10.0.0.1"), Pod("10.0.0.2")
    others = introduce(first, second)
    texts = [first.answer([1], is_copied=True) for _ in range(3)]
    for text in texts:
        found = first.ids.read(text)
        assert found is not None
        first.verdicts.pairs.pair(found.nonce, challenger="rival", decision=8, answers=np.array([0]))
    body = [{"id": text, "label": 1} for text in texts]
    assert (await second.take(body))["total"] == {"accepted": 3, "failed": 0, "matched": 3}
    assert second.rows == {("m", "7", "correct"): 3}
    assert first.rows == {}
    assert dict(first.counts.pair_rows.counts) == {("rival", "8", "correct", "wrong"): 3}
    assert others.asked == 1


@pytest.mark.parametrize("error", [ForgottenError("gone"), ServingError(ErrorCode.NOT_READY, "later")])
async def test_a_pod_that_is_gone_takes_only_the_pair_with_it(error: Exception) -> None:
    first, second = Pod("10.0.0.1"), Pod("10.0.0.2")
    introduce(first, second).away["10.0.0.1"] = error
    text = first.answer([1], is_copied=True)
    assert await second.take({"id": text, "label": 1}) == {"matched": 1}
    assert second.rows == {("m", "7", "correct"): 1}
    assert second.counts.unpaired.sum() == 1
    assert second.counts.unmatched.sum() == 0


async def test_a_client_s_own_id_is_found_at_whatever_pod_it_was() -> None:
    first, second = Pod("10.0.0.1"), Pod("10.0.0.2")
    others = introduce(first, second)
    text = first.answer([1], own="order-17")
    second.answer([1], own="order-18")
    batch = [{"id": own, "label": 1} for own in ("order-17", "order-18", "order-19")]
    statuses = [result.get("status", 200) for result in (await second.take(batch))["results"]]
    assert statuses == [200, 200, 404]
    assert second.rows == {("m", "7", "correct"): 2}
    # The same request under its other name.
    assert (await second.refused({"id": text, "label": 1})).code is ErrorCode.CONFLICT
    others.away["10.0.0.1"] = ForgottenError("gone")
    assert (await second.refused({"id": "order-20", "label": 1})).code is ErrorCode.NOT_READY


async def test_ids_of_strangers_are_not_looked_for_elsewhere() -> None:
    first, second = Pod("10.0.0.1"), Pod("10.0.0.2", keys=Keys(None))
    others = introduce(first, second)
    assert (await second.refused({"id": first.answer([1]), "label": 1})).code is ErrorCode.NOT_FOUND
    assert others.asked == 0
    assert second.counts.unmatched.sum() == 1


async def test_what_was_passed_on_is_never_passed_on_again() -> None:
    first, second = Pod("10.0.0.1"), Pod("10.0.0.2")
    others = introduce(first, second)
    text = first.answer([1] * 300)
    reply = await second.judge.take_passed(json.dumps([{"id": text, "labels": [1] * 300}]).encode())
    assert json.loads(reply.body)[0]["status"] == 404
    assert others.asked == 0
