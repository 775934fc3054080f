"""Contests in which an entity keeps its model: entities are the units, whatever the number of their requests."""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import pytest

from kingmaker.api import Goal, Reason, Verdict
from kingmaker.core.contest.checks import VerdictPolicy
from kingmaker.core.contest.judgement import Judgement, judge
from kingmaker.core.contest.losses import Cost, Error
from kingmaker.core.contest.measures import MeanMeasure
from kingmaker.core.contest.precision import PrecisionMeasure
from kingmaker.core.contest.yardsticks import ByClass, ByError
from kingmaker.core.counts.buckets import (
    BUCKETS,
    EIGHTHS,
    FAILURES,
    LABELLED,
    BucketClass,
    Buckets,
    bounded,
    class_name,
    error_name,
    latency_name,
)
from kingmaker.core.counts.labelled import ClassCell
from kingmaker.core.counts.ledger import Ledger, fold
from kingmaker.core.counts.process import Arm, DecisionCounts, ProcessCounts, start_of
from kingmaker.core.state import Contest, StageRun

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
NOW = datetime(2026, 11, 1, tzinfo=UTC)
SUPERIOR = VerdictPolicy(goal=Goal.SUPERIOR, by_entity=True)


class Answered(NamedTuple):
    """Of each request whether an arm answered it, whether it got a label, whether it was wrong, and slow."""

    mine: np.ndarray
    given: np.ndarray
    wrong: np.ndarray
    slow: np.ndarray


@dataclass
class World:
    """A champion and a challenger with a pod each, and entities of which each has error rates under either."""

    seed: int
    sizes: np.ndarray
    rates: tuple[float, float] = (0.1, 0.1)
    correlation: float = 0.1
    weight: int = 50
    sent: int | None = None
    """Percent of the places that the router really gives to the challenger; None: as designed."""
    labels: tuple[float, float] = (1.0, 1.0)
    with_buckets: bool = True
    failing: tuple[float, float] = (0.0, 0.0)
    """Mean rates at which requests fail; entities differ as they do in wrong answers."""
    slow: tuple[float, float] = (0.0, 0.0)
    """The same of requests that take two seconds, not five milliseconds."""
    ledger: Ledger = Ledger()
    arms: dict[str, Arm] = field(default_factory=lambda: {A: Arm(), B: Arm()})
    buckets: dict[str, Buckets] = field(default_factory=lambda: {A: Buckets(), B: Buckets()})

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.bucket = self.random.integers(0, BUCKETS, len(self.sizes))
        self.is_challenger = self.bucket % 100 < (self.weight if self.sent is None else self.sent)
        spread = (1 - self.correlation) / self.correlation
        chosen = np.where(self.is_challenger, self.rates[1], self.rates[0])
        self.wrong_rates = self.random.beta(chosen * spread, (1 - chosen) * spread)
        self.failing_rates, self.slow_rates = (
            self.random.beta(np.maximum(mean * spread, 1e-9), (1 - mean) * spread)
            for mean in (np.where(self.is_challenger, *rates[::-1]) for rates in (self.failing, self.slow))
        )

    @property
    def contest(self) -> Contest:
        run = StageRun("half", 7, NOW, self.weight, 100 - self.weight)
        return Contest("b", "b", B, NOW, (run,))

    def answer(self, requests: int) -> None:
        who = self.random.choice(len(self.sizes), requests, p=self.sizes / self.sizes.sum())
        wrong, failed, slow = (
            self.random.random(requests) < rates[who]
            for rates in (self.wrong_rates, self.failing_rates, self.slow_rates)
        )
        for digest, mask, labels in ((A, ~self.is_challenger, self.labels[0]), (B, self.is_challenger, self.labels[1])):
            mine = mask[who] & ~failed
            self._fail(digest, self.bucket[who], mask[who] & failed)
            given = mine & (self.random.random(requests) < labels)
            self._count(digest, self.bucket[who], Answered(mine, given, wrong, slow))

    def _fail(self, digest: str, bucket: np.ndarray, failed: np.ndarray) -> None:
        self.arms[digest] += Arm(errors=int(failed.sum()))
        counts = {FAILURES: np.bincount(bucket[failed], minlength=BUCKETS)}
        self.buckets[digest] = bounded(counts) + self.buckets[digest]

    def _count(self, digest: str, bucket: np.ndarray, answered: Answered) -> None:
        mine, given, wrong, slow = answered
        n, labelled, bad = int(mine.sum()), int(given.sum()), int((given & wrong).sum())
        late = int((mine & slow).sum())
        latency = tuple({3: n - late, 18: late}.get(cell, 0) for cell in range(22))
        classes = {ClassCell("", "no", "yes", True): bad, ClassCell("", "yes", "yes", False): labelled - bad}
        judged = (labelled - bad, *([0] * 7), bad)
        self.arms[digest] += Arm(n, 0, labelled - bad, bad, n, latency, judged, classes)
        counts = {
            latency_name(3): np.bincount(bucket[mine & ~slow], minlength=BUCKETS),
            latency_name(18): np.bincount(bucket[mine & slow], minlength=BUCKETS),
            LABELLED: np.bincount(bucket[given], minlength=BUCKETS),
            EIGHTHS: 8 * np.bincount(bucket[given & wrong], minlength=BUCKETS),
            class_name(BucketClass("no", "yes", wrong=True)): np.bincount(bucket[given & wrong], minlength=BUCKETS),
            class_name(BucketClass("yes", "yes", wrong=False)): np.bincount(bucket[given & ~wrong], minlength=BUCKETS),
            error_name("k2"): np.bincount(bucket[given & wrong], minlength=BUCKETS),
            error_name("0"): np.bincount(bucket[given & ~wrong], minlength=BUCKETS),
        }
        self.buckets[digest] = bounded(counts) + self.buckets[digest]

    def look(self, policy: VerdictPolicy = SUPERIOR) -> Judgement:
        looks = [
            ProcessCounts(
                f"pod-{digest[7]}",
                digest[7],
                digest,
                "",
                "1",
                {7: DecisionCounts(self.arms[digest])},
                buckets={start_of(digest): {7: self.buckets[digest]}} if self.with_buckets else {},
            )
            for digest in (A, B)
        ]
        uids = frozenset(look.pod_uid for look in looks)
        wanted = {A: frozenset({7}), B: frozenset({7})}
        self.ledger = fold(self.ledger, looks, pods=uids, wanted=wanted, watched=None).ledger
        return judge(self.contest, A, self.ledger.totals, policy)

    def end(self, looks: int, requests: int, policy: VerdictPolicy = SUPERIOR) -> tuple[Judgement, int]:
        """Look after every few requests until the verdict is one, and say how many looks it took."""
        for number in range(1, looks + 1):
            self.answer(requests)
            judgement = self.look(policy)
            if judgement.verdict is not Verdict.INCONCLUSIVE:
                return judgement, number
        return judgement, looks


def many(count: int = 5000) -> np.ndarray:
    return np.ones(count)


ZIPF = 1 / np.arange(1, 51)


@pytest.mark.parametrize(("sizes", "weight"), [(np.ones(200), 50), (np.ones(200), 5), (ZIPF, 50)])
def test_equal_models_are_neither_promoted_nor_rolled_back_by_looking_often(sizes: np.ndarray, weight: int) -> None:
    ends = [World(seed, sizes, weight=weight).end(25, 400)[0].verdict for seed in range(40)]
    assert ends.count(Verdict.PASS) <= 40 * 0.05 + 2 * math.sqrt(40 * 0.05 * 0.95)
    assert ends.count(Verdict.FAIL) <= 1


def test_a_better_challenger_is_promoted() -> None:
    judgement, _ = World(1, many(), (0.2, 0.1), correlation=0.01).end(60, 1000)
    assert judgement.verdict is Verdict.PASS
    assert judgement.goal.n <= 100
    assert "by entity: " in judgement.goal.rule
    assert judgement.goal.estimate == pytest.approx(0.1, abs=0.02)
    assert judgement.goal.reference == pytest.approx(0.2, abs=0.02)


def test_a_worse_challenger_is_rolled_back_from_a_small_share() -> None:
    judgement, _ = World(2, many(), (0.1, 0.3), correlation=0.01, weight=5).end(60, 1000)
    assert judgement.verdict is Verdict.FAIL


def test_what_was_judged_stays_until_the_next_look() -> None:
    world = World(3, many())
    world.answer(1000)
    first = world.look()
    world.answer(100)
    assert world.look().goal == first.goal
    world.answer(500)
    assert world.look().goal != first.goal


def test_tenants_carry_the_information_of_tenants_and_the_check_says_so() -> None:
    judgement, looks = World(4, ZIPF, (0.12, 0.1)).end(20, 5000)
    assert (judgement.verdict, looks) == (Verdict.INCONCLUSIVE, 20)
    assert judgement.goal.n < 50
    assert "worth" in judgement.goal.rule


@pytest.mark.parametrize(
    "measure",
    [
        MeanMeasure(ByClass(Cost("yes", 50, 1, 1)), ByClass(Cost("yes", 50, 1, 1)), "cost"),
        MeanMeasure(ByError(Error(10.0)), ByError(Error(10.0)), "absoluteError"),
    ],
)
def test_every_measure_is_weighed_by_entity(measure: MeanMeasure) -> None:
    policy = VerdictPolicy(goal=Goal.SUPERIOR, by_entity=True, measure=measure)
    judgement, _ = World(5, many(), (0.3, 0.1), correlation=0.01).end(40, 1000, policy)
    assert judgement.verdict is Verdict.PASS
    judgement, _ = World(6, many(), (0.1, 0.3), correlation=0.01).end(40, 1000, policy)
    assert judgement.verdict is Verdict.FAIL


def test_precision_is_weighed_by_entity() -> None:
    policy = VerdictPolicy(goal=Goal.SUPERIOR, by_entity=True, measure=PrecisionMeasure("yes"))
    judgement, _ = World(7, many(), (0.3, 0.1), correlation=0.01).end(4, 1000, policy)
    # Whoever says yes is right here: of its answers nothing is wrong, in neither arm.
    assert (judgement.goal.estimate, judgement.goal.reference) == (1.0, 1.0)
    assert judgement.verdict is Verdict.INCONCLUSIVE


def test_a_bound_beside_the_champion_is_weighed_by_entity() -> None:
    def verdict(maximum: float) -> Verdict:
        policy = VerdictPolicy(goal=Goal.SUPERIOR, by_entity=True, reference=maximum)
        judgement, _ = World(8, many(), (0.3, 0.1), correlation=0.01).end(20, 1000, policy)
        return next(check.verdict for check in judgement.conditions if check.name == "reference")

    assert verdict(0.2) is Verdict.PASS
    assert verdict(0.1) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("sizes", [np.ones(200), ZIPF])
def test_tenants_that_fail_or_are_slow_each_in_their_way_roll_nothing_back(sizes: np.ndarray) -> None:
    kinds = [{"failing": (0.05, 0.05)}, {"slow": (0.05, 0.05)}]
    ends = [World(seed, sizes, correlation=0.3, **kind).end(15, 600)[0] for seed in range(30, 50) for kind in kinds]
    assert sum(end.verdict is Verdict.FAIL for end in ends) <= 1


def test_a_challenger_that_fails_its_requests_is_rolled_back() -> None:
    judgement, _ = World(51, many(), correlation=0.05, failing=(0.01, 0.2), weight=5).end(30, 1000)
    assert {g.check.name for g in judgement.guardrails if g.failed} == {"errors"}


def test_a_challenger_that_is_slow_is_rolled_back() -> None:
    judgement, _ = World(52, many(), correlation=0.05, slow=(0.002, 0.2)).end(30, 1000)
    assert {g.check.name for g in judgement.guardrails if g.failed} == {"latency"}


def test_servers_of_before_count_no_buckets_and_their_requests_are_no_units() -> None:
    world = World(9, many(), (0.3, 0.1), with_buckets=False)
    judgement, _ = world.end(20, 1000)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.goal.n == 0
    assert judgement.obstacle is Reason.MEASURE_UNAVAILABLE
    assert "earlier release" in judgement.goal.rule


def test_before_the_first_look_evidence_is_merely_thin() -> None:
    world = World(10, many())
    world.answer(100)
    assert world.look().obstacle is Reason.THIN_EVIDENCE


def test_nothing_is_concluded_from_a_broken_split() -> None:
    judgement, _ = World(11, many(), (0.1, 0.4), weight=5, sent=20).end(20, 1000)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.obstacle is Reason.SPLIT_MISMATCH


def test_nothing_is_concluded_while_one_arm_lacks_its_labels() -> None:
    judgement, _ = World(12, many(), weight=5, labels=(0.0, 1.0)).end(20, 1000)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.obstacle is Reason.SPLIT_MISMATCH
