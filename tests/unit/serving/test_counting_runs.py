"""Every answered row is counted once, whole runs at a time or one by one, whoever else of a run failed."""

import asyncio
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kingmaker_serving.counts.baseline import FORMAT, Baseline
from kingmaker_serving.counts.cells import CellCounts
from kingmaker_serving.counts.profile import Identity, Profile
from kingmaker_serving.engine.counter import Counting
from kingmaker_serving.engine.job import Job, Run
from kingmaker_serving.protocol.values import InferenceRequest
from support.columns import build_column

REFERENCE = np.linspace(-3, 3, 100, dtype=np.float32)


def a_profile() -> Profile:
    column = build_column(REFERENCE, datatype="FP32", name="f", input="x", is_category=False)
    document = Baseline(FORMAT, 100, [column])
    features = CellCounts([column], {"x": "FP32"})
    return Profile(Identity("m", "d", "b", "p", 0), baseline=document, features=features)


def a_job(rows: np.ndarray) -> Job:
    request = InferenceRequest({"x": rows})
    return Job(request, ["y"], decision="7", began=0, deadline=0, on_done=lambda _: None)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.data())
def test_what_was_answered_is_counted_once(sizes: list[int], drawn: Any) -> None:
    rows = np.random.default_rng(3).normal(size=(sum(sizes), 1)).astype(np.float32)
    parts = np.split(rows, np.cumsum(sizes)[:-1])
    run = Run({"x": rows}, {"y": rows}, len(sizes)) if len(sizes) > 1 else None
    jobs = [a_job(part) for part in parts]
    for job in jobs:
        job.run, job.outputs = run, {"y": job.inputs["x"]}
    answered = [job for job in jobs if drawn.draw(st.booleans())]
    breaks = drawn.draw(st.sets(st.integers(0, len(jobs))))

    async def count() -> Profile:
        profile = a_profile()
        counting = Counting(profile)
        for place, job in enumerate(answered):
            counting.add(job, job.rows, 0.001)
            if place in breaks:
                counting.settle()
        counting.settle()
        return profile

    profile = asyncio.run(count())
    alone = a_profile()
    assert alone.features is not None
    assert profile.features is not None
    for job in answered:
        alone.features.add(job.inputs)
    assert profile.features.counts.tolist() == alone.features.counts.tolist()
    assert profile.rows.sum(decision="7") == sum(job.rows for job in answered)
    assert profile.requests.sum(outcome="ok") == len(answered)
