"""Guardrails that need no label: requests that fail, and requests that are slow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Final

from kingmaker.api import LatencyGuardrail, Verdict
from kingmaker.core.contest.case import Case
from kingmaker.core.contest.checks import Check, VerdictPolicy
from kingmaker.core.contest.dispersion import Spread, dispersion, exposed_share
from kingmaker.core.contest.entities import Counts, Read, entity_log_e
from kingmaker.core.contest.evidence import NO_ARM, latency_edge
from kingmaker.core.contest.stretches import Stretch, live
from kingmaker.core.counts.buckets import FAILURES, Buckets
from kingmaker.core.counts.process import LATENCY_EDGES
from kingmaker.core.statistics.sequential import (
    Split,
    log_e_harm,
    log_e_rate_above,
    log_mean_exp,
    rate_upper_bound,
)
from kingmaker.core.statistics.units import log_e_units_harm

_DOUBTFUL: Final = math.log(20)
"""Evidence against a share of the requests from which on failures are compared without it."""
_IN_FLIGHT: Final = 25.0
"""So many failures of a challenger are taken to be one incident at most, what a crash takes with it, until incidents of
the champion's were larger: who fails by the hundred at once is not waited for."""
_WITHOUT_SHARES: Final = 2.0
"""How many times as often as the champion a challenger fails that is judged by rates: they may have moved with time."""


def errors_check(name: str, case: Case, policy: VerdictPolicy) -> Check | None:
    """Check whether the challenger fails requests, or copies of them, more often than the champion.

    Where requests did not arrive as designed, the rates of both arms are compared instead: nobody's failures are hidden
    by a router that is off. None where it is switched off.

    Args:
        name: Of the check.
        case: The contest.
        policy: The rules.
    """
    if policy.guardrails.errors is None:
        return None
    stretches, arms = case.stretches, live(case.stretches)
    by_rate = any(s.request_log_e >= _DOUBTFUL for s in arms)
    ratio = _WITHOUT_SHARES if by_rate else 1.0
    shares = [_share(s) for s in arms]
    counts = [(s.champion.errors, s.challenger.errors) for s in arms]
    squares = [(s.champion_bursts.errors, s.challenger_bursts.errors) for s in arms]
    log_e = _log_e_of_events(arms, counts, squares, shares, ratio)
    log_e = min(log_e, _log_e_by_entity(arms, _failed, ratio)) + _copy_failures(stretches, policy)
    failed = sum(s.challenger.errors for s in arms) + sum(s.shadow.failures for s in stretches)
    n = sum(s.challenger.requests for s in arms) + sum(s.compared_requests + s.shadow.failures for s in stretches)
    theirs = sum(s.champion.requests for s in arms)
    rates = (rate_of(failed, n), rate_of(sum(s.champion.errors for s in arms), theirs))
    rule = "server errors not above the champion's"
    if by_rate:
        rule = f"server errors not above {ratio:g} times the champion's, per request, whatever the shares"
    return _harm(name, rule, n, rates, log_e, policy)


def _log_e_of_events(
    arms: Sequence[Stretch],
    counts: Sequence[tuple[int, int]],
    squares: Sequence[tuple[int, int]],
    shares: Sequence[float],
    ratio: float,
) -> float:
    """Weigh events that may come in bursts.

    Args:
        arms: The live stretches.
        counts: Events of champion and challenger in each.
        squares: Sums of squared counts per slot, likewise.
        shares: The challenger's share of the requests in each.
        ratio: How many times as often they may be the challenger's.
    """
    slots = [(s.champion_bursts.slots, s.challenger_bursts.slots) for s in arms]
    champion, challenger = (
        dispersion(Spread(c[arm], q[arm], n[arm]) for c, q, n in zip(counts, squares, slots, strict=True))
        for arm in (0, 1)
    )
    phi = max(champion, min(challenger, _IN_FLIGHT))
    splits = [
        Split(theirs, mine, exposed_share(share, *held, phi))
        for (theirs, mine), share, held in zip(counts, shares, slots, strict=True)
    ]
    return log_e_harm(splits, ratio=ratio, together=phi)


def _log_e_by_entity(arms: Sequence[Stretch], read: Read, ratio: float) -> float:
    """Weigh the same events by entity; infinite where requests are drawn one by one.

    Harm must show in both ways then. Events may hit pods, many at a time, and say nothing by entity; and entities may
    differ, in how large their requests are, say, so that events say nothing by request.
    """
    entities = [s.entities for s in arms if s.entities]
    if not entities:
        return math.inf
    return entity_log_e(entities, "requests", read, read, partial(log_e_units_harm, ratio=ratio))


def _failed(buckets: Buckets) -> tuple[Counts, Counts]:
    return buckets.requests, buckets.of(FAILURES)


@lru_cache
def _slower_than(cell: int) -> Read:
    return lambda buckets: (buckets.requests, buckets.slower_than(cell))


def _share(stretch: Stretch) -> float:
    """Give the challenger's part of the requests: as designed, or as it came where that is not to be trusted, or where
    a large entity may be in either arm."""
    total = stretch.challenger.requests + stretch.champion.requests
    # One request more for each: an arm without any has not had a chance of 0.
    came = (stretch.challenger.requests + 1) / (total + 2)
    if stretch.entities:
        return came
    return stretch.run.share if stretch.request_log_e < _DOUBTFUL else max(stretch.run.share, came)


def _copy_failures(stretches: Sequence[Stretch], policy: VerdictPolicy) -> float:
    """Evidence that copies fail more often than the champion's own requests, which are not copied when they fail."""
    failures = sum(s.shadow.failures for s in stretches)
    # Failures are requests, so what was answered is counted in requests, too.
    copies = failures + sum(s.compared_requests for s in stretches)
    champion = sum((s.champion for s in stretches), NO_ARM) if copies else NO_ARM
    if not champion.requests:
        return 0.0
    # The champion's rate is known from as many requests as there are, so its upper bound is the yardstick.
    limit = rate_upper_bound(champion.errors, champion.requests, policy.false_rollback)
    return log_e_rate_above(failures, copies, limit, together=_together_in_copies(stretches))


def _together_in_copies(stretches: Sequence[Stretch]) -> float:
    """Learn how many failures of copies come together, as the champion's pods saw them."""
    return dispersion(Spread(s.shadow.failures, s.copy_squares, s.champion_bursts.slots) for s in stretches)


def latency_check(name: str, case: Case, policy: VerdictPolicy) -> Check | None:
    """Check whether the challenger is slow more often than the champion, by several quantiles of the champion's at
    once.

    Source: several thresholds of one distribution, each tested by counts (Lindon et al., KDD 2022, arXiv:2205.14762).
    None where it is switched off, or before both arms answer.

    Args:
        name: Of the check.
        case: The contest.
        policy: The rules.
    """
    arms = [s for s in live(case.stretches) if not s.requests_broken]
    if policy.guardrails.latency is None or not live(case.stretches):
        return None
    tolerance = float(policy.guardrails.latency.tolerance)
    n, theirs = sum(s.challenger.requests for s in arms), sum(s.champion.requests for s in arms)
    rule = f"not slower than the champion's quantiles more than {tolerance:.2f} times as often"
    found = []
    for quantile, edge in _latency_edges(case.stretches, policy.guardrails.latency):
        slow = [(s.champion.slower_than(edge), s.challenger.slower_than(edge)) for s in arms]
        place = LATENCY_EDGES.index(edge)
        squares = [(s.champion_bursts.slower_than(place), s.challenger_bursts.slower_than(place)) for s in arms]
        log_e = _log_e_of_events(arms, slow, squares, [_share(s) for s in arms], tolerance)
        log_e = min(log_e, _log_e_by_entity(arms, _slower_than(place), tolerance))
        rates = (rate_of(sum(mine for _, mine in slow), n), rate_of(sum(champion for champion, _ in slow), theirs))
        found.append((log_e, f"{rule}; p{100 * quantile:g}: over {edge:g} s", rates))
    if not found or not arms:
        return Check(name, Verdict.INCONCLUSIVE, n, rule)
    worst = max(found, key=lambda looked: looked[0])
    # The mean of e-values is one: each quantile has its part of the budget.
    log_e = log_mean_exp([log_e for log_e, *_ in found])
    return _harm(name, worst[1], n, worst[2], log_e, policy)


def _latency_edges(stretches: Sequence[Stretch], guardrail: LatencyGuardrail) -> list[tuple[float, float]]:
    """Give the limits that are looked at, each edge once, with the highest quantile that it stands for.

    The first run sets them: a limit that moved with the counts it is compared with would not be a fixed event. The
    highest quantile is the edge of its cell, since the tail may not get heavier. Of the others it is the next edge:
    where half of the requests lie on either side, a thousandth of a second must not decide.
    """
    counted = [stretches[0].champion, sum((s.champion for s in stretches), NO_ARM)]
    quantiles = sorted(float(quantile) for quantile in guardrail.quantiles)
    found: dict[float, float] = {}
    for quantile in quantiles:
        edges = (latency_edge(arm, quantile, beyond=int(quantile < quantiles[-1])) for arm in counted)
        edge = next((edge for edge in edges if edge is not None), None)
        if edge is not None:
            found[edge] = quantile
    return [(quantile, edge) for edge, quantile in found.items()]


def _harm(
    name: str, rule: str, n: int, rates: tuple[float | None, float | None], log_e: float, policy: VerdictPolicy
) -> Check:
    """Make a check that fails when the evidence of harm exceeds the budget for false rollbacks."""
    verdict = Verdict.INCONCLUSIVE if not n else Verdict.FAIL if log_e >= policy.harm_log_e else Verdict.PASS
    return Check(name, verdict, n, rule, *rates, log_e, policy.harm_log_e)


def rate_of(events: int, trials: int) -> float | None:
    """Give a rate; None without trials."""
    return events / trials if trials else None
