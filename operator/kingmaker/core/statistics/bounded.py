"""Anytime-valid tests of one bounded score per request: whether a challenger loses no more than a champion.

What is routed is a request, so a request is one observation, however many rows it has and however alike they are: a
loss y in [0, 1], such as the share of its rows that were wrong, or what its answer cost divided by the highest cost.
A challenger is no worse when E[y_B] <= r·E[y_A] + d·E[u], with r the allowed ratio, d the allowed difference, and u in
[0, 1] what the difference is about: 1 for every request, or 1 for requests of one class.

A request goes to the challenger with probability ρ, by our own draw, whatever its loss would be. So
X = r·y/(1-ρ) + d·u for the champion's requests and X = d·u - y/ρ for the challenger's has, given the past, the mean
r·E[y_A] - E[y_B] + d·E[u] (Horvitz-Thompson): at most 0 where the challenger is worse than that, whatever the rows of a
request have to do with each other and however the world changes. Betting κ·b on X, with b the largest bet that can't
lose everything, multiplies E by 1 + κ·b·X, on average at most 1: a supermartingale, and so is any mean over bets κ.
What came in which order does not matter, so requests per score, arm and stage are all that is needed.

Sources: Waudby-Smith & Ramdas, JRSS B 2024 for betting on bounded means; `notes/statistics.md` 4.6.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from kingmaker.core.statistics.sequential import HIGHER, LOWER

Floats = NDArray[np.float64]

_BETS: Final = np.geomspace(0.005, 0.9, 24)[:, None]
"""Parts of the largest safe bet: from differences of a hundredth to all or nothing."""
_ALL: Final = 0.1
"""Weight of the largest bet alone: what few requests say of a class that nobody ever misses rests on it."""


def _log_weights(center: float, spread: float) -> Floats:
    """Weights of the bets: most on those that pay for differences that contests are about, by a log-normal curve."""
    near = np.exp(-0.5 * (np.log(_BETS[:, 0] / center) / spread) ** 2)
    weights = (1 - _ALL) * near / near.sum()
    weights[-1] += _ALL
    return np.asarray(np.log(weights), dtype=float)


_SPLIT_WEIGHTS: Final = _log_weights(0.1, 0.8)
"""The best bet is the relative difference times the champion's share: a tenth for 20 % at half the traffic."""
_PAIR_WEIGHTS: Final = _log_weights(0.2, 0.6)
"""The best bet is the difference of those that one arm alone lost, divided by their sum."""
_RATES: Final = np.concatenate(([0.0], np.geomspace(1e-6, 0.05, 200)[:-1], np.linspace(0.05, 1.0, 200)))
"""Rates of the champion at which a ratio of rates is tested, 0 and 1 among them."""
_STEPS: Final = 40
"""Halvings of an interval that holds a bound."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Requests by what they lost: `losses` and `units` in 0..1, `counts` >= 0, one entry (or row) per cell."""

    losses: Floats
    units: Floats
    counts: Floats

    @classmethod
    def of(cls, cells: Sequence[tuple[float, float, int]]) -> Self:
        """Take cells of (loss, unit, count).

        Raises:
            ValueError: A loss or a unit is not in 0..1, or a count below 0.
        """
        losses, units, counts = np.array(cells, dtype=float).reshape(-1, 3).T
        _check(losses, units, counts)
        return cls(losses, units, counts)

    @property
    def n(self) -> int:
        """Requests that the score is about."""
        return round(float(self.counts @ (self.units > 0)))

    @property
    def mean(self) -> float | None:
        """Loss per unit; None without any."""
        units = float(self.counts @ self.units)
        return float(self.counts @ self.losses) / units if units else None


@dataclass(frozen=True, slots=True)
class ScoredSplit:
    """Scores of both arms in one stage; `share` is the challenger's designed part of the requests, 0..1."""

    champion: Scores
    challenger: Scores
    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            message = f"share {self.share} is not strictly between 0 and 1; one arm that gets everything shows nothing"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class ScoredPairs:
    """Requests that both arms answered, by what each lost; all arrays have one entry per cell, as in `Scores`."""

    champion: Floats
    challenger: Floats
    units: Floats
    counts: Floats

    @classmethod
    def of(cls, cells: Sequence[tuple[float, float, float, int]]) -> Self:
        """Take cells of (champion's loss, challenger's loss, unit, count).

        Raises:
            ValueError: A loss or a unit is not in 0..1, or a count below 0.
        """
        champion, challenger, units, counts = np.array(cells, dtype=float).reshape(-1, 4).T
        _check(champion, units, counts)
        _check(challenger, units, counts)
        return cls(champion, challenger, units, counts)

    @property
    def sides(self) -> tuple[Scores, Scores]:
        """The champion's and the challenger's scores, each for itself."""
        return (
            Scores(self.champion, self.units, self.counts),
            Scores(self.challenger, self.units, self.counts),
        )


def log_e_no_worse(splits: Sequence[ScoredSplit], *, ratio: float = 1.0, margin: float = 0.0) -> float:
    """Weigh the evidence that the challenger loses less than `ratio` times the champion's loss, plus `margin`.

    H0: E[y_B] >= ratio·E[y_A] + margin·E[u] for every request given those before it.

    Args:
        splits: Of one stage, or of its parts under different shares.
        ratio: How many times the champion's loss still counts as no worse, > 0.
        margin: What may be added to that per unit, in -1..1; below 0 asks for less loss than the champion's.

    Returns:
        ln E; 0 without evidence. H0 is rejected at level α when it reaches -ln α.

    >>> twenty, five = Scores.of([(1, 1, 20), (0, 1, 80)]), Scores.of([(1, 1, 5), (0, 1, 95)])
    >>> log_e_no_worse([ScoredSplit(twenty, five, 0.5)]) > math.log(20)
    True
    """
    return float(log_e_no_worse_each(splits, ratio=ratio, margin=margin))


def log_e_no_worse_each(splits: Sequence[ScoredSplit], *, ratio: float = 1.0, margin: float = 0.0) -> Floats:
    """Weigh the same for several scores at once, whose counts are the columns of `Scores.counts`: one ln E for each."""
    _check_allowance(ratio, margin)
    grown = np.zeros(())
    for split in splits:
        bets = _BETS / (1 / split.share - min(margin, 0.0))
        mine, theirs = split.challenger, split.champion
        gain = ratio / (1 - split.share) * theirs.losses + margin * theirs.units
        grown = grown + np.log1p(bets * gain) @ theirs.counts
        grown = grown + np.log1p(bets * (margin * mine.units - mine.losses / split.share)) @ mine.counts
    return _mean_log(grown, _SPLIT_WEIGHTS)


def log_e_worse(splits: Sequence[ScoredSplit], *, ratio: float = 1.0, margin: float = 0.0) -> float:
    """Weigh the evidence that the challenger loses more than `ratio` times the champion's loss, plus `margin`.

    H0: E[y_B] <= ratio·E[y_A] + margin·E[u]. The mirror image of `log_e_no_worse`.
    """
    return float(log_e_worse_each(splits, ratio=ratio, margin=margin))


def log_e_worse_each(splits: Sequence[ScoredSplit], *, ratio: float = 1.0, margin: float = 0.0) -> Floats:
    """Weigh the same for several scores at once, as `log_e_no_worse_each` does."""
    _check_allowance(ratio, margin)
    grown = np.zeros(())
    for split in splits:
        bets = _BETS / (ratio / (1 - split.share) + max(margin, 0.0))
        mine, theirs = split.challenger, split.champion
        loss = ratio / (1 - split.share) * theirs.losses + margin * theirs.units
        grown = grown + np.log1p(-bets * loss) @ theirs.counts
        grown = grown + np.log1p(bets * (mine.losses / split.share - margin * mine.units)) @ mine.counts
    return _mean_log(grown, _SPLIT_WEIGHTS)


def log_e_paired_no_worse(pairs: Sequence[ScoredPairs], *, ratio: float = 1.0, margin: float = 0.0) -> float:
    """Weigh the same as `log_e_no_worse` by requests that both arms answered: X = ratio·y_A + margin·u - y_B."""
    return float(log_e_paired_no_worse_each(pairs, ratio=ratio, margin=margin))


def log_e_paired_no_worse_each(pairs: Sequence[ScoredPairs], *, ratio: float = 1.0, margin: float = 0.0) -> Floats:
    """Weigh the same for several scores at once, whose counts are the columns of `ScoredPairs.counts`."""
    _check_allowance(ratio, margin)
    bets = _BETS / (1 - min(margin, 0.0))
    gains = ((ratio * p.champion + margin * p.units - p.challenger, p.counts) for p in pairs)
    return _mean_log(sum((np.log1p(bets * gain) @ counts for gain, counts in gains), np.zeros(())), _PAIR_WEIGHTS)


def log_e_paired_worse(pairs: Sequence[ScoredPairs], *, ratio: float = 1.0, margin: float = 0.0) -> float:
    """Weigh the same as `log_e_worse` by requests that both arms answered."""
    return float(log_e_paired_worse_each(pairs, ratio=ratio, margin=margin))


def log_e_paired_worse_each(pairs: Sequence[ScoredPairs], *, ratio: float = 1.0, margin: float = 0.0) -> Floats:
    """Weigh the same for several scores at once, as `log_e_paired_no_worse_each` does."""
    _check_allowance(ratio, margin)
    bets = _BETS / (ratio + max(margin, 0.0))
    gains = ((p.challenger - ratio * p.champion - margin * p.units, p.counts) for p in pairs)
    return _mean_log(sum((np.log1p(bets * gain) @ counts for gain, counts in gains), np.zeros(())), _PAIR_WEIGHTS)


def log_e_below(scores: Sequence[Scores], limit: float) -> float:
    """Weigh the evidence that the loss per unit is below `limit`.

    H0: E[y] >= limit·E[u] for every request given those before it; X = limit·u - y.

    Args:
        scores: Of one arm; they are added.
        limit: 0..1.
    """
    gains = ((limit * s.units - s.losses, s.counts) for s in scores)
    return float(
        _mean_log(sum((np.log1p(_BETS * gain) @ counts for gain, counts in gains), np.zeros(())), _SPLIT_WEIGHTS)
    )


@dataclass(frozen=True, slots=True)
class Hits:
    """How often something happened, 0..`trials`: errors among those that one arm said to be of a class."""

    events: int
    trials: int

    def __post_init__(self) -> None:
        if not 0 <= self.events <= self.trials:
            message = f"{self.events} events in {self.trials} trials: expected 0 <= events <= trials"
            raise ValueError(message)


def log_e_rate_no_worse(champion: Hits, challenger: Hits, *, ratio: float = 1.0, margin: float = 0.0) -> float:
    """Weigh the evidence that the challenger's rate is below `ratio` times the champion's, plus `margin`.

    For rates whose trials an arm chooses itself, as those of precision are. H0: p_B >= ratio·p_A + margin, the rates
    being what they are throughout. For t = p_A, p_A <= t and p_B >= ratio·t + margin both hold, and the arms have no
    requests in common: the product of the evidence against each is on average at most 1, and so is the least of the
    products over all t. One factor falls in t and the other one rises, so a grid bounds the least product from below.

    Returns:
        ln E, or less.
    """
    _check_allowance(ratio, margin)
    low, high = _RATES[:-1], _RATES[1:]
    return float(np.min(_log_e_rate(champion, high, HIGHER) + _log_e_rate(challenger, ratio * low + margin, LOWER)))


def log_e_rate_worse(champion: Hits, challenger: Hits, *, ratio: float = 1.0, margin: float = 0.0) -> float:
    """Weigh the evidence that the challenger's rate is above `ratio` times the champion's, plus `margin`.

    The mirror image: p_A >= t and p_B <= ratio·t + margin.
    """
    _check_allowance(ratio, margin)
    low, high = _RATES[:-1], _RATES[1:]
    return float(np.min(_log_e_rate(champion, low, LOWER) + _log_e_rate(challenger, ratio * high + margin, HIGHER)))


def _log_e_rate(hits: Hits, rates: Floats, odds: Floats) -> Floats:
    """ln E per rate at the border of H0, for alternatives whose odds are `odds` times those of the rate.

    With odds above 1 it weighs that the true rate is higher, and falls in the rate; below 1 lower, and rises. An event
    multiplies a likelihood ratio by o / (1-t+o·t), anything else by 1 / (1-t+o·t).
    """
    per_trial = np.log1p((odds - 1) * np.clip(rates, 0.0, 1.0)[:, None])
    grown = hits.events * np.log(odds) - hits.trials * per_trial
    return _mean_log(grown.T, np.full(len(odds), -math.log(len(odds))))


def difference_bounds(
    splits: Sequence[ScoredSplit], pairs: Sequence[ScoredPairs] = (), *, alpha: float
) -> tuple[float, float]:
    """Bound the challenger's loss per unit less the champion's, at all times at once.

    P(the true difference is ever outside) <= `alpha`: the differences that neither of two tests at alpha / 2 rejects.

    Args:
        splits: Of one stage.
        pairs: Of one stage.
        alpha: Error budget of both bounds together, strictly between 0 and 1.

    Returns:
        Lower and upper bound in -1..1; -1 and 1 without data.
    """
    if not 0 < alpha < 1:
        message = f"alpha {alpha} is not strictly between 0 and 1; use the error budget, such as 0.05"
        raise ValueError(message)
    enough = math.log(2 / alpha)

    def is_less(margin: float) -> bool:
        return log_e_no_worse(splits, margin=margin) + log_e_paired_no_worse(pairs, margin=margin) >= enough

    def is_more(margin: float) -> bool:
        return log_e_worse(splits, margin=margin) + log_e_paired_worse(pairs, margin=margin) >= enough

    upper = _edge(is_less, 1.0, -1.0) if is_less(1.0) else 1.0
    lower = _edge(is_more, -1.0, 1.0) if is_more(-1.0) else -1.0
    return min(lower, upper), max(lower, upper)


def _edge(holds: Callable[[float], bool], inside: float, outside: float) -> float:
    """Where a condition that holds at `inside` ends, on the side where it holds, by bisection."""
    for _ in range(_STEPS):
        middle = (inside + outside) / 2
        if holds(middle):
            inside = middle
        else:
            outside = middle
    return inside


def _mean_log(log_values: Floats, log_weights: Floats) -> Floats:
    """ln of the weighted mean of exp(`log_values`) over the first axis, without overflow; 0 of nothing weighed."""
    if not log_values.ndim:
        return log_values
    weighed = (log_values.T + log_weights).T
    peak = weighed.max(axis=0)
    return np.asarray(peak + np.log(np.exp(weighed - peak).sum(axis=0)), dtype=float)


def _check(losses: Floats, units: Floats, counts: Floats) -> None:
    for name, values in (("losses", losses), ("units", units)):
        if not ((values >= 0) & (values <= 1)).all():
            message = f"{name} are not all in 0..1: {values[:5].tolist()}; divide by the largest possible"
            raise ValueError(message)
    if not (np.isfinite(counts) & (counts >= 0)).all():
        message = f"counts are not all 0 or more: {counts[:5].tolist()}"
        raise ValueError(message)


def _check_allowance(ratio: float, margin: float) -> None:
    if not (math.isfinite(ratio) and ratio > 0):
        message = f"ratio {ratio} is not a positive number; 1 compares the losses as they are"
        raise ValueError(message)
    if not -1 <= margin <= 1:
        message = f"margin {margin} is not in -1..1; it is a difference of losses that are in 0..1"
        raise ValueError(message)
