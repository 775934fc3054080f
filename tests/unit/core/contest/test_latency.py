"""Several quantiles of the latency at once."""

import pytest

from kingmaker.api import LatencyGuardrail, Verdict
from kingmaker.core.contest.case import Case
from kingmaker.core.contest.checks import Check, VerdictPolicy
from kingmaker.core.contest.evidence import Arm, Shadow, latency_edge
from kingmaker.core.contest.guardrails import GUARDRAILS
from kingmaker.core.contest.stretches import Stretch
from kingmaker.core.counts.process import LATENCY_EDGES
from kingmaker.core.state import StageRun
from support.world import START

LATENCY = next(g for g in GUARDRAILS if g.name == "latency")
SHADOW = StageRun("shadow", 1, START, 0, 100, 100)
LIVE = StageRun("half", 2, START, 50, 50)
POLICY = VerdictPolicy()


def an_arm(**cells: int) -> Arm:
    """Requests by the upper edge of their cell in milliseconds, such as `ms5=989`."""
    latency = [0] * len(LATENCY_EDGES)
    for name, count in cells.items():
        latency[LATENCY_EDGES.index(int(name[2:]) / 1000)] = count
    return Arm(answered=sum(latency), latency=tuple(latency))


def looked(champion: Arm, challenger: Arm, policy: VerdictPolicy = POLICY) -> Check:
    stretches = [Stretch(SHADOW, champion, Arm(), Shadow()), Stretch(LIVE, champion, challenger, Shadow())]
    (check,) = LATENCY.look(Case(stretches), policy)
    return check


def test_a_challenger_that_is_always_as_slow_as_the_champions_slowest_is_found() -> None:
    champion = an_arm(ms5=9_890, ms100=110)
    check = looked(champion, an_arm(ms100=10_000))
    assert check.verdict is Verdict.FAIL
    assert "over 0.0075 s" in check.rule
    one = POLICY.guardrails.model_copy(update={"latency": LatencyGuardrail(quantiles=("0.99",))})
    assert looked(champion, an_arm(ms100=10_000), VerdictPolicy(guardrails=one)).verdict is Verdict.PASS


@pytest.mark.parametrize(
    "challenger",
    [
        an_arm(ms5=9_890, ms100=110),
        an_arm(ms2=10_000),
    ],
    ids=["alike", "faster"],
)
def test_who_is_not_slower_passes(challenger: Arm) -> None:
    assert looked(an_arm(ms5=9_890, ms100=110), challenger).verdict is Verdict.PASS


def test_half_a_cell_in_the_middle_is_no_harm_but_a_heavier_tail_is() -> None:
    champion = an_arm(ms10=9_000, ms15=900, ms50=100)
    assert looked(champion, an_arm(ms10=5_500, ms15=4_400, ms50=100)).verdict is Verdict.PASS
    heavy = looked(champion, an_arm(ms10=9_000, ms15=600, ms50=100, ms1000=300))
    assert heavy.verdict is Verdict.FAIL
    assert "p99" in heavy.rule


def test_without_latencies_it_is_inconclusive() -> None:
    assert looked(Arm(), Arm()).verdict is Verdict.INCONCLUSIVE


def test_edges_are_those_of_the_quantiles_cells() -> None:
    champion = an_arm(ms5=50, ms10=40, ms20=9, ms50=1)
    assert [latency_edge(champion, q) for q in (0.5, 0.9, 0.99, 0.999)] == [0.005, 0.01, 0.02, 0.05]
    assert latency_edge(champion, 0.5, beyond=1) == 0.0075
    assert latency_edge(Arm()) is None
    slow = Arm(answered=1, latency=(*(0,) * 21, 1))
    assert latency_edge(slow) is None, "nothing is slower than the open cell"
