"""Runs within bounds: together where it is faster, alone where it is not, refused when there is no place."""

import asyncio
import time
from collections.abc import Iterator

import numpy as np
import pytest

from kingmaker_serving.engine.job import Job
from kingmaker_serving.engine.pace import UNKNOWN, Pace, measure
from kingmaker_serving.engine.runner import Runner
from kingmaker_serving.engine.watch import Watch
from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.models.session import ModelSession
from kingmaker_serving.protocol.values import InferenceRequest
from support.onnx_models import a_classifier, endless

QUICK = Pace(0.00001, 0.000001, is_batchable=True)
SLOW = Pace(1.0, 1.0, is_batchable=True)


@pytest.fixture(scope="module")
def session() -> ModelSession:
    return ModelSession(a_classifier(seed=5)[0])


@pytest.fixture
def watch() -> Iterator[Watch]:
    found = Watch()
    yield found
    found.close()


def a_runner(session: ModelSession, pace: Pace, watch: Watch, **fields: float) -> Runner:
    limits = {"workers": 1, "queue": 100, "max_rows": 64, "max_delay": 0.0} | fields
    return Runner(session, pace, watch, **limits)  # type: ignore[arg-type]


class Asked:
    """Jobs, and a future for each."""

    def __init__(self, runner: Runner, *, seconds: float = 10.0) -> None:
        self.runner, self.seconds = runner, seconds

    def put(self, name: str, rows: np.ndarray) -> tuple[Job, "asyncio.Future[Job]"]:
        future: asyncio.Future[Job] = asyncio.get_running_loop().create_future()
        now = time.perf_counter()
        job = Job(
            InferenceRequest({name: rows}),
            [spec.name for spec in self.runner._session.signature.outputs],
            decision="none",
            began=now,
            deadline=now + self.seconds,
            on_done=future.set_result,
        )
        self.runner.put(job)
        return job, future


def rows_of(seed: int, count: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)


@pytest.mark.parametrize("pace", [QUICK, SLOW], ids=["on the loop", "on threads"])
async def test_requests_that_come_together_get_their_own_rows(session: ModelSession, watch: Watch, pace: Pace) -> None:
    runner = a_runner(session, pace, watch)
    ask = Asked(runner)
    sent = [rows_of(seed, count) for seed, count in enumerate([1, 3, 1, 2, 1])]
    done = await asyncio.gather(*(ask.put("features", rows)[1] for rows in sent))
    for rows, job in zip(sent, done, strict=True):
        alone = session.run({"features": rows}, list(job.outputs), runner._stop).outputs
        assert job.error is None
        assert all(np.allclose(job.outputs[name], array, rtol=1e-5) for name, array in alone.items())
    assert (runner.batched, runner.taken) == (5, 0)
    assert runner.batches == 1
    runner.close()


async def test_rows_that_run_together_are_bounded(session: ModelSession, watch: Watch) -> None:
    runner = a_runner(session, QUICK, watch, max_rows=4)
    ask = Asked(runner)
    await asyncio.gather(*(ask.put("features", rows_of(seed, 2))[1] for seed in range(5)))
    assert runner.batches == 3
    runner.close()


async def test_a_bad_request_leaves_its_companions_alone(session: ModelSession, watch: Watch) -> None:
    runner = a_runner(session, QUICK, watch)
    ask = Asked(runner)
    good, bad, other = (ask.put(name, rows_of(1))[1] for name in ("features", "nothing", "features"))
    done = await asyncio.gather(good, bad, other)
    assert [job.error is None for job in done] == [True, False, True]
    runner.close()


async def test_who_has_gone_is_not_run(session: ModelSession, watch: Watch) -> None:
    runner = a_runner(session, QUICK, watch)
    ask = Asked(runner)
    gone, future = ask.put("features", rows_of(1))
    stays = ask.put("features", rows_of(2))[1]
    gone.cancel()
    assert (await stays).error is None
    assert not future.done()
    assert (runner.batched, runner.taken) == (1, 0)
    runner.close()


async def test_who_goes_leaves_a_place_at_once(watch: Watch) -> None:
    runner = a_runner(ModelSession(endless()), SLOW, watch, queue=1, max_rows=1)
    ask = Asked(runner)
    runs, waits = (ask.put("x", np.ones(1, np.float32))[0] for _ in range(2))
    await asyncio.sleep(0)
    assert (runner.taken, runner.waiting) == (2, 1)
    waits.cancel()
    waits.cancel()
    assert (runner.taken, runner.waiting) == (1, 0)
    next_one = ask.put("x", np.ones(1, np.float32))[1]
    runs.cancel()
    # The model never ends by itself: its thread is free because nobody waited for the run.
    async with asyncio.timeout(10):
        while runner.batches < 2:
            await asyncio.sleep(0.001)
    runner.abandon(ServingError(ErrorCode.NOT_READY, "enough"))
    await next_one
    runner.close()
    await runner.idle()


async def test_a_run_goes_on_while_one_of_its_clients_waits(session: ModelSession, watch: Watch) -> None:
    runner = a_runner(session, SLOW, watch)
    ask = Asked(runner)
    gone, _ = ask.put("features", rows_of(1))
    stays = ask.put("features", rows_of(2))[1]
    await asyncio.sleep(0)
    gone.cancel()
    assert (await stays).error is None
    assert (runner.batches, runner.batched, runner.taken) == (1, 2, 0)
    runner.close()


async def test_there_are_places_and_no_more(watch: Watch) -> None:
    runner = a_runner(ModelSession(endless()), SLOW, watch, queue=1)
    ask = Asked(runner)
    futures = [ask.put("x", np.ones(1, np.float32))[1] for _ in range(2)]
    for refused in (runner.check, lambda: ask.put("x", np.ones(1, np.float32))):
        with pytest.raises(ServingError, match="2 requests are being worked on") as caught:
            refused()
        assert caught.value.code is ErrorCode.OVERLOADED
    runner.abandon(ServingError(ErrorCode.NOT_READY, "enough"))
    await asyncio.gather(*futures)
    assert runner.refused == 2
    runner.close()


async def test_on_the_loop_a_full_batch_runs_at_once(session: ModelSession, watch: Watch) -> None:
    runner = a_runner(session, QUICK, watch, max_rows=4)
    ask = Asked(runner)
    futures = [ask.put("features", rows_of(seed))[1] for seed in range(9)]
    assert (runner.batches, runner.waiting) == (2, 1)
    assert all(job.error is None for job in await asyncio.gather(*futures))
    assert (runner.refused, runner.taken) == (0, 0)
    runner.close()


async def test_what_is_read_late_in_a_turn_is_refused(session: ModelSession, watch: Watch) -> None:
    runner = a_runner(session, QUICK, watch, queue=1)
    ask = Asked(runner)
    ask.put("features", rows_of(0))
    runner._due_since -= 0.021
    # Its places are promised, however long a run takes.
    future = ask.put("features", rows_of(1))[1]
    with pytest.raises(ServingError, match="waited for 20 ms") as caught:
        ask.put("features", rows_of(2))
    assert caught.value.code is ErrorCode.OVERLOADED
    assert (await future).error is None
    assert (await ask.put("features", rows_of(3))[1]).error is None
    assert runner.refused == 1
    runner.close()


@pytest.mark.parametrize("pace", [QUICK, SLOW], ids=["on the loop", "on threads"])
async def test_a_run_without_end_ends_at_its_deadline(watch: Watch, pace: Pace) -> None:
    runner = a_runner(ModelSession(endless()), pace, watch)
    job = await Asked(runner, seconds=0.2).put("x", np.ones(1, np.float32))[1]
    assert job.error is not None
    assert job.error.code is ErrorCode.DEADLINE
    assert not runner.is_quick
    runner.close()


async def test_what_is_abandoned_gets_an_answer(watch: Watch) -> None:
    runner = a_runner(ModelSession(endless()), SLOW, watch)
    ask = Asked(runner)
    futures = [ask.put("x", np.ones(1, np.float32))[1] for _ in range(3)]
    await asyncio.sleep(0)
    runner.abandon(ServingError(ErrorCode.NOT_READY, "the server ends"))
    done = await asyncio.gather(*futures)
    assert {job.error.code for job in done if job.error} == {ErrorCode.NOT_READY}
    runner.close()


def test_a_model_of_rows_is_found_to_be_one(session: ModelSession) -> None:
    pace = measure(session, [])
    assert 0 < pace.first < 0.1
    assert pace.is_batchable


def test_a_model_that_never_ends_is_measured_in_bounded_time() -> None:
    assert measure(ModelSession(endless()), []) == UNKNOWN
