"""What is learnt from quiet windows: the season, and how much more counts vary than those of independent rows.

Requests come in batches, from clients, and by the hours of the day. What windows of one length had at the same time of
earlier seasons is what the next one is compared with, where it is shorter than a season; longer ones hold a whole
season, as the baseline does. How far windows lie from what was usual gives the dispersion φ of each part of the test:
1 for independent rows. It is used at its upper confidence bound, so that what few windows say is believed little. A
difference from the baseline that stays is no dispersion: deviations are those from the windows' own mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

import numpy as np
from scipy import special

from kingmaker.core.counts.integers import Integers
from kingmaker.core.counts.learnt import EFFECT, SQUARE, Learnt
from kingmaker.core.monitoring.reference import Reference
from kingmaker.core.statistics.columns import DISPERSION, LOCATION, RARE, SHAPE, Comparison, Noise
from kingmaker.core.statistics.tails import Floats

MAXIMUM_DISPERSION: Final = 10.0
"""The most that is believed before it was seen, and of rare cells: what is broken must not pass as what is usual."""
MAXIMUM_LEARNT: Final = 100.0
"""What varies more than that, around its own mean, can't be told from chance in a window of this length."""
ENOUGH_LOOKS: Final = 14
"""Windows that are needed to learn a dispersion: two weeks of days."""
ENOUGH_SEASONS: Final = 2
"""Seasons that are needed to know what is usual at each time of it."""

_MOST_SEASONS: Final = 14
_MOST_LOOKS: Final = 400
"""How many windows are remembered; older ones are forgotten little by little."""
_MOST_EFFECTS: Final = 100_000
"""Numbers that a season may have; with more of them short windows judge rare cells only."""
_FEWEST_BUCKETS, _MOST_BUCKETS = 24, 168
_HUGE: Final = 1e6
_CONFIDENCE: Final = 0.95


def begin(reference: Reference, length: timedelta, season: timedelta | None) -> Learnt:
    """Give what is known of windows of one length at first: nothing.

    Args:
        reference: The columns.
        length: Length of the windows.
        season: Period of the data's season, None without one.
    """
    columns, rare = reference.rare_places.shape
    seasonal = season is not None and length < season
    buckets = _buckets(season / length, columns) if season and seasonal else 1
    return Learnt.nothing(
        length, (season or timedelta()) if seasonal else timedelta(), buckets=buckets, columns=columns, rare=rare
    )


def _buckets(windows_per_season: float, columns: int) -> int:
    most = max(_FEWEST_BUCKETS, min(_MOST_BUCKETS, _MOST_EFFECTS // (9 * max(1, columns))))
    buckets = min(round(windows_per_season), most)
    return buckets if buckets * columns * 3 <= _MOST_EFFECTS else 0


def knows_season(learnt: Learnt) -> bool:
    """Whether enough seasons were seen to compare with."""
    return learnt.seen.array.size > 0 and int(learnt.seen.array.min()) >= ENOUGH_SEASONS


def learn(learnt: Learnt, comparison: Comparison, *, until: int) -> Learnt:
    """Add a quiet window, unless it overlaps with one that was added.

    Args:
        learnt: What was known.
        comparison: The window compared with the baseline; of one window, (columns).
        until: Its end in milliseconds, as the windows have it.
    """
    if until < learnt.until + round(learnt.length.total_seconds() * 999) or not learnt.seen.array.size:
        return learnt
    bucket = int(_position(learnt, until) + 1e-6) % len(learnt.seen.array) if learnt.season else 0
    times = int(learnt.seen.array[bucket])
    effects = _effects(comparison)
    sums = learnt.effects.array.copy()
    # One bucket must follow what slowly changes, as many do.
    sums[bucket] = _added(sums[bucket], effects / EFFECT, times, _MOST_SEASONS if learnt.season else 4 * _MOST_SEASONS)
    seen = learnt.seen.array.copy()
    seen[bucket] = min(times + 1, _MOST_SEASONS if learnt.season else 4 * _MOST_SEASONS)
    known = replace(learnt, until=until, seen=Integers(seen), effects=Integers(sums))
    return _with_squares(learnt, known, comparison, bucket)


def usual_in(
    reference: Reference,
    comparison: Comparison,
    learnt: Sequence[Learnt],
    length: timedelta,
    *,
    until: int,
    rows_per_request: float,
) -> Noise:
    """Say what is usual in a window, and how much it varies.

    Args:
        reference: The columns; the baseline may know their dispersions.
        comparison: The window compared with the baseline; (columns).
        learnt: What is known of windows of some lengths.
        length: Length of the window.
        until: Its end in milliseconds.
        rows_per_request: Rows of a request vary together at worst; the last resort where nothing was learnt.
    """
    shape, rare = (len(comparison.effective), 3), comparison.current.rare.shape
    last = _last_resort(rows_per_request)
    known = next((k for k in learnt if k.length == length), None)
    if known is None:
        return Noise(_borrowed(reference, learnt, length, last), np.zeros(shape), np.full(rare, last))
    usual, expected = _usual(known, until), np.zeros(shape)
    dispersion, degrees = _borrowed(reference, learnt, length, last), None
    if known.looks >= ENOUGH_LOOKS:
        dispersion, degrees = _dispersion(known, comparison, usual)
        dispersion = np.where(dispersion > MAXIMUM_LEARNT, np.nan, np.maximum(dispersion, 1.0))
    if known.season:
        root = np.sqrt(comparison.effective)[:, None]
        expected[:, LOCATION:RARE] = usual[:, LOCATION:RARE] * root
        mean = comparison.degrees + comparison.effective * usual[:, SHAPE]
        within = np.nan_to_num(dispersion[:, SHAPE], nan=1.0) * comparison.degrees
        expected[:, SHAPE] = np.maximum(0, mean - (within if degrees is None else within * degrees))
    return Noise(dispersion, expected, rare_dispersion(known, rows_per_request), degrees)


def _borrowed(reference: Reference, learnt: Sequence[Learnt], length: timedelta, last: float) -> Floats:
    """Dispersions (columns, 3) for windows of which too little is known: of the next shorter ones, or the baseline's.

    That of independent batches is the same in windows of any length; that of hours that differ shrinks with length.
    """
    shorter = sorted((k for k in learnt if k.length < length and k.looks >= ENOUGH_LOOKS), key=lambda k: k.length)
    if shorter:
        known = shorter[-1]
        found = known.squares.array * SQUARE / known.looks * _upper(known.looks)
        found[:, SHAPE] = np.maximum(found[:, LOCATION], found[:, DISPERSION])
        clamped: Floats = np.clip(found, 1.0, MAXIMUM_DISPERSION)
        return clamped
    said = np.nan_to_num(reference.overdispersion(length), nan=last)
    return np.repeat(said[:, None], 3, axis=1)


def _last_resort(rows_per_request: float) -> float:
    return min(MAXIMUM_DISPERSION, max(1.0, rows_per_request))


def rare_dispersion(learnt: Learnt, rows_per_request: float) -> Floats:
    """Dispersions of the rare cells, (columns, rare cells), 1..10."""
    if learnt.looks < ENOUGH_LOOKS:
        return np.full(learnt.rare.array.shape, _last_resort(rows_per_request))
    found = learnt.rare_squares.array * SQUARE / learnt.looks * _upper(learnt.looks)
    clamped: Floats = np.clip(found, 1.0, MAXIMUM_DISPERSION)
    return clamped


def _position(learnt: Learnt, until: int) -> float:
    """Where in the season a window ends, in buckets."""
    period = learnt.season.total_seconds() * 1000
    return float((until % period) / period * len(learnt.seen.array))


def _usual(learnt: Learnt, until: int) -> Floats:
    """Mean effects (columns, parts) at a time, in a line between those of the buckets around it."""
    seen, effects = learnt.seen.array, learnt.effects.array
    if not learnt.season:
        mean: Floats = effects[0] * EFFECT / max(1, seen[0])
        return mean
    buckets = len(seen)
    # Windows that share a bucket end in its middle on average.
    per_bucket = max(1.0, learnt.season / learnt.length / buckets)
    at = _position(learnt, until) - (1 - 1 / per_bucket) / 2
    left, part = int(np.floor(at)) % buckets, at % 1
    right = (left + 1) % buckets
    usual: Floats = EFFECT * (
        (1 - part) * effects[left] / max(1, seen[left]) + part * effects[right] / max(1, seen[right])
    )
    return usual


def _effects(comparison: Comparison) -> Floats:
    """Effects (columns, parts) of a window: what its figures come to per row."""
    rows = np.maximum(comparison.effective, 1)
    shape = (comparison.x2 - comparison.degrees) / rows
    return np.stack([shape, comparison.location / np.sqrt(rows), comparison.dispersion / np.sqrt(rows)], axis=-1)


def _scale(comparison: Comparison) -> Floats:
    """What variance within the windows becomes when the reference's own, which they share, is added: (n+m)/m."""
    n, m = comparison.current.ordinary.sum(axis=-1), comparison.reference.ordinary.sum(axis=-1)
    scale: Floats = (n + m) / np.maximum(m, 1)
    return scale


def _expected_x2(comparison: Comparison, usual: Floats) -> Floats:
    mean: Floats = comparison.degrees + comparison.effective * usual[:, SHAPE]
    floor: Floats = np.maximum(mean, 0.1 * np.maximum(comparison.degrees, 1))
    return floor


def _with_squares(before: Learnt, known: Learnt, comparison: Comparison, bucket: int) -> Learnt:
    """Add the deviations from what was usual before this window."""
    times, current = int(before.seen.array[bucket]), comparison.current
    rows, rare = np.rint(current.rows).astype(np.int64), np.rint(current.rare).astype(np.int64)
    totals, rare_totals = before.rows.array, before.rare.array
    most = _MOST_LOOKS
    known = replace(
        known,
        rows=Integers(totals - (totals // most if before.looks >= most else 0) + rows),
        rare=Integers(rare_totals - (rare_totals // most if before.looks >= most else 0) + rare),
    )
    if not times:
        return known
    usual = before.effects.array[bucket] * EFFECT / times
    mean = _expected_x2(comparison, usual)
    root = np.sqrt(comparison.effective)
    # The mean of few chi-squares is small now and then, and its inverse square large: by so much on average.
    degrees = np.maximum(comparison.degrees, 1)
    few = np.maximum(degrees * times, 6)
    squares = np.stack(
        [
            (comparison.x2 - mean) ** 2 * degrees / (2 * mean**2) * (few - 2) * (few - 4) / few**2,
            (comparison.location - root * usual[:, LOCATION]) ** 2 * _scale(comparison),
            (comparison.dispersion - root * usual[:, DISPERSION]) ** 2 * _scale(comparison),
        ],
        axis=-1,
    )
    # The mean that was taken off is of these few windows itself.
    squares *= times / (times + 1)
    n, share = current.rows[:, None], (rare_totals + 0.5) / (totals[:, None] + 1.0)
    share = np.minimum(share, 0.5 + share / 2)
    rare_squares = (current.rare - n * share) ** 2 / np.maximum(n * share * (1 - share), 1e-9)
    return replace(
        known,
        looks=min(before.looks + 1, most),
        squares=Integers(_added(before.squares.array, squares / SQUARE, before.looks, most)),
        rare_squares=Integers(_added(before.rare_squares.array, rare_squares / SQUARE, before.looks, most)),
    )


def _dispersion(learnt: Learnt, comparison: Comparison, usual: Floats) -> tuple[Floats, Floats]:
    """Dispersions (columns, parts), at their upper confidence bounds, and the part of the degrees of freedom in use.

    X² of clustered rows is φ times a chi-square, non-central by what differs: its mean is φ·d + λ, its variance
    2φ²·d + 4φ·λ. With R the variance relative to 2·mean²/d, φ = mean/d·(1 - √(1-R)). More than that varies only where
    differences vary unequally: as φ = R·mean/d times a chi-square of d/R degrees (Rao & Scott 1981).
    """
    found = learnt.squares.array * SQUARE / learnt.looks * _upper(learnt.looks)
    per_degree = _expected_x2(comparison, usual) / np.maximum(comparison.degrees, 1)
    ratio = found[:, SHAPE]
    even = per_degree * (1 - np.sqrt(1 - np.minimum(ratio, 1)))
    found[:, SHAPE] = np.where(ratio > 1, per_degree * ratio, even) * _scale(comparison)
    return found, 1 / np.maximum(ratio, 1)


def _upper(looks: int) -> float:
    """What a variance of so many looks may be too small by, with that confidence."""
    return looks / float(special.chdtri(looks, _CONFIDENCE))


def _added(sums: np.ndarray, new: Floats, times: int, most: int) -> np.ndarray:
    """Add to sums of so many; those that are full forget their mean first."""
    forgotten = np.rint(sums / times) if times >= most else 0
    return (sums - forgotten + np.rint(np.clip(new, -_HUGE, _HUGE))).astype(np.int64)
