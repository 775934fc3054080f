"""Failures that come in bursts: what is learnt of them, and what contests make of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kingmaker.core.contest.checks import VerdictPolicy
from kingmaker.core.contest.dispersion import Spread, dispersion, exposed_share
from kingmaker.core.contest.guardrails import OnFail
from kingmaker.core.contest.judgement import judge
from kingmaker.core.counts.ledger import Ledger, fold
from kingmaker.core.counts.process import Arm, DecisionCounts, ProcessCounts
from kingmaker.core.state import Contest, StageRun
from support.world import START, digest

COUNTS = st.lists(st.integers(0, 40), min_size=1, max_size=60)


def spread(counts: list[int]) -> Spread:
    return Spread(sum(counts), sum(n * n for n in counts), len(counts))


@given(COUNTS, st.randoms(use_true_random=False))
def test_the_order_of_slots_means_nothing_and_events_are_never_more_than_one_each(counts, random) -> None:
    shuffled = list(counts)
    random.shuffle(shuffled)
    phi = dispersion([spread(counts)])
    assert phi == dispersion([spread(shuffled)])
    assert 1 <= phi <= max(1, *counts) * 1.5 + 1


def test_independent_failures_are_one_each_and_bursts_are_one_together() -> None:
    random = np.random.default_rng(10_021)
    steady = random.poisson(3.0, 2_000).tolist()
    bursty = (20 * random.binomial(1, 0.05, 2_000)).tolist()
    assert dispersion([spread(steady)]) == pytest.approx(1.0, abs=0.1)
    assert dispersion([spread(bursty)]) == pytest.approx(20 * 0.95, rel=0.1)


def test_stretches_at_different_levels_are_no_bursts() -> None:
    random = np.random.default_rng(10_022)
    stretches = [spread(random.poisson(level, 500).tolist()) for level in (1.0, 20.0)]
    assert dispersion(stretches) == pytest.approx(1.0, abs=0.15)


def test_without_slots_events_are_taken_as_independent() -> None:
    assert dispersion([]) == dispersion([Spread(5, 0, 0)]) == 1.0


def test_what_comes_in_bursts_hits_pods() -> None:
    assert exposed_share(0.05, 200, 100, 1.5) == 0.05
    assert exposed_share(0.05, 200, 100, 20.0) == pytest.approx(0.05 + 0.9 * (1 / 3 - 0.05))
    assert exposed_share(0.5, 200, 100, 20.0) == 0.5, "never less than the share of the requests"


class Arms:
    """Pods of two models, looked at in turns, under one split."""

    def __init__(self, weight: int, champion_pods: int, challenger_pods: int) -> None:
        self.run = StageRun("live", 2, START, weight, 100 - weight)
        pods = [("a", n) for n in range(champion_pods)] + [("b", n) for n in range(challenger_pods)]
        self.counts = {pod: np.zeros(2, int) for pod in pods}
        self.ledger = Ledger()
        self.looks = 0

    def add(self, model: str, pod: int, requests: int, errors: int) -> None:
        self.counts[model, pod] += (requests - errors, errors)

    def is_rolled_back(self) -> bool:
        looks = [
            ProcessCounts(f"{m}-{n}", m, digest(m), "", "1", {2: DecisionCounts(Arm(int(ok), int(errors)))})
            for (m, n), (ok, errors) in self.counts.items()
        ]
        wanted = {digest(m): {2} for m in "ab"}
        uids = frozenset(look.pod_uid for look in looks)
        self.looks += 1
        self.ledger = fold(self.ledger, looks, pods=uids, wanted=wanted, watched=None, slot=self.looks).ledger
        contest = Contest("", "b", digest("b"), START, (self.run,))
        judgement = judge(contest, digest("a"), self.ledger.totals, VerdictPolicy())
        return judgement.failed(OnFail.ABORT) is not None


def rolled_back(random: np.random.Generator, arms: Arms, *, requests: int, looks: int) -> bool:
    """Crashes of pods that all models have alike: one in twelve looks, twenty requests each."""
    share = arms.run.weight / 100
    for _ in range(looks):
        mine = int(random.binomial(requests, share))
        for model, n in (("a", requests - mine), ("b", mine)):
            pods = [pod for pod in arms.counts if pod[0] == model]
            for pod in pods:
                errors = 20 * int(random.random() < 1 / 12)
                arms.add(*pod, max(n // len(pods), errors), errors)
        if arms.is_rolled_back():
            return True
    return False


@pytest.mark.parametrize(
    ("weight", "champions", "challengers"), [(50, 2, 2), (5, 2, 1), (50, 2, 1)], ids=["half", "canary", "one pod"]
)
def test_bursts_roll_nobody_back_who_has_no_more_of_them(weight: int, champions: int, challengers: int) -> None:
    random = np.random.default_rng(10_023)
    ends = [rolled_back(random, Arms(weight, champions, challengers), requests=1_000, looks=80) for _ in range(60)]
    assert sum(ends) <= 2, "within .01 and two standard errors"


@pytest.mark.parametrize("requests", [20, 2_000])
def test_a_challenger_that_fails_steadily_is_found_all_the_same(requests: int) -> None:
    random = np.random.default_rng(10_024)
    needed = []
    for _ in range(10):
        arms = Arms(10, 2, 1)
        while not arms.is_rolled_back() and arms.looks < 2_000:
            mine = int(random.binomial(requests, 0.1))
            arms.add("b", 0, mine, int(random.binomial(mine, 0.05)))
            for pod in range(2):
                n = (requests - mine) // 2
                arms.add("a", pod, n, int(random.binomial(n, 0.005)))
        needed.append(arms.looks * requests)
    # 1,600 where each failure is taken as independent; a few slots are the least that tells bursts from that.
    assert np.median(needed) <= max(3_200, 6 * requests)
