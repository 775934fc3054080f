"""The error without labels: from cells of a score whose errors are known, held against what labels would show."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kingmaker.core.counts.baseline import Baseline, Cell, Feature, Kind
from kingmaker.core.monitoring.estimate import Source, estimate_error, source_of
from kingmaker.core.statistics.error_curve import fit_error_curve, mean_errors, pooled_errors

RANDOM = np.random.default_rng(5)
EDGES = tuple(np.linspace(0.05, 1, 20).tolist())


def claimed(scores: np.ndarray) -> np.ndarray:
    return np.minimum(scores, 1 - scores)


def a_score(counts: Sequence[int], wrong: Sequence[int | None], *, held_out: bool = True) -> Feature:
    """Twenty equally wide cells of a probability, and what is beyond them."""
    ordinary = [Cell(str(i), c, upper=u, wrong=w) for i, (c, u, w) in enumerate(zip(counts, EDGES, wrong, strict=True))]
    below, *others = (Cell(name, 0, rare=True) for name in ("below", "above", "missing", "infinite"))
    return Feature("score", Kind.NUMERIC, (below, *ordinary, *others), held_out=held_out)


def some_scores(rows: int, a: float, b: float) -> np.ndarray:
    """Draw scores in the middle of cells: what is known of a cell is true of each row in it."""
    return (np.floor(RANDOM.beta(a, b, rows) * 20) + 0.5) / 20


def counted(scores: np.ndarray) -> np.ndarray:
    return np.bincount(np.searchsorted(EDGES, scores) + 1, minlength=24)


def a_source(rows: int, *, held_out: bool = True) -> Source | None:
    """A score that is wrong nine tenths as often as it claims."""
    scores = some_scores(rows, 0.7, 1.4)
    wrong = RANDOM.random(rows) < 0.9 * claimed(scores)
    cells, bad = counted(scores), counted(scores[wrong])
    column = a_score(cells[1:21].tolist(), bad[1:21].tolist(), held_out=held_out)
    return source_of(Baseline("sha256:b", rows, (), score=column), of_sizes=False)


def test_the_bounds_hold_what_labels_would_show_when_other_requests_come() -> None:
    inside, misses = 0, []
    for _ in range(200):
        source = a_source(4000)
        assert source is not None
        scores = some_scores(2000, RANDOM.uniform(0.5, 3), RANDOM.uniform(0.5, 3))
        labels = float((RANDOM.random(2000) < 0.9 * claimed(scores)).mean())
        estimate = estimate_error(source, counted(scores))
        assert estimate is not None
        inside += estimate.within.low <= labels <= estimate.within.high
        misses.append(estimate.error - labels)
    assert 0.91 <= inside / 200 <= 0.99
    assert abs(np.mean(misses)) < 0.003


def test_harder_requests_are_a_rise_and_the_same_ones_are_none() -> None:
    source = a_source(10_000)
    assert source is not None
    same = estimate_error(source, counted(RANDOM.beta(0.7, 1.4, 5000)))
    harder = estimate_error(source, counted(RANDOM.beta(3, 3, 5000)))
    assert same is not None
    assert harder is not None
    assert same.above_p_value(same.reference) > 0.001
    assert harder.above_p_value(1.1 * harder.reference) < 1e-6
    assert harder.rise.low > 0


def test_false_alarms_of_the_rise_keep_to_their_level() -> None:
    called = 0
    for _ in range(400):
        source = a_source(2000)
        assert source is not None
        estimate = estimate_error(source, counted(RANDOM.beta(0.7, 1.4, 1000)))
        assert estimate is not None
        called += estimate.above_p_value(estimate.reference) <= 0.05
    assert called / 400 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 400)


def test_rows_of_one_request_are_seen_once() -> None:
    source = a_source(10_000)
    assert source is not None
    one, many = (estimate_error(source, counts, requests_per_row=r) for counts, r in ((HARD, 1.0), (20 * HARD, 0.05)))
    assert one is not None
    assert many is not None
    assert many.of_rise == pytest.approx(one.of_rise)


HARD = counted(np.random.default_rng(1).beta(3, 3, 1000))


def test_rows_of_which_nothing_is_known_are_no_estimate() -> None:
    source = a_source(4000)
    assert source is not None
    counts = HARD.copy()
    counts[22] = 100
    assert estimate_error(source, counts) is None
    assert estimate_error(source, np.zeros(24, dtype=np.int64)) is None


def test_errors_on_rows_that_the_model_was_fitted_on_are_no_reference() -> None:
    assert a_source(1000, held_out=False) is None
    column = a_score([100] * 20, [None] * 20)
    assert source_of(Baseline("sha256:b", 2000, (), score=column), of_sizes=False) is None


def test_without_a_score_predictions_say_something_and_it_is_said_to_be_weak() -> None:
    cells = (Cell("c0", 900, wrong=9), Cell("c1", 100, wrong=50), Cell("unseen", 0, rare=True))
    baseline = Baseline("sha256:b", 1000, (), prediction=Feature("label", Kind.CATEGORICAL, cells, held_out=True))
    source = source_of(baseline, of_sizes=False)
    assert source is not None
    assert source.is_weak
    estimate = estimate_error(source, np.array([500, 500, 0]))
    assert estimate is not None
    assert estimate.error == pytest.approx((0.01 + 0.5) / 2, rel=0.02)


def test_the_size_of_a_regressions_errors_follows_where_its_predictions_lie() -> None:
    cells = (
        Cell("0", 500, upper=1.0, absolute_error=1.0, squared_error=2.0),
        Cell("1", 500, upper=2.0, absolute_error=3.0, squared_error=10.0),
    )
    baseline = Baseline("sha256:b", 1000, (), prediction=Feature("y", Kind.NUMERIC, cells, held_out=True))
    source = source_of(baseline, of_sizes=True)
    assert source is not None
    assert source.is_weak
    estimate = estimate_error(source, np.array([100, 300]))
    assert estimate is not None
    assert (estimate.reference, estimate.error) == (2.0, 2.5)
    # Per row the variance within both cells is 1, and that of the cell's mean 1 / 500.
    assert estimate.of_error == pytest.approx(math.sqrt(1 / 400 + (0.25**2 + 0.75**2) / 500))
    assert source_of(baseline, of_sizes=False) is None


def test_many_rows_speak_for_themselves_and_few_lean_on_what_the_score_claims() -> None:
    claims = [0.01, 0.1, 0.3, 0.1, 0.01]
    many = fit_error_curve([10**6] * 5, [200_000, 10_000, 500_000, 300_000, 1_000], claims)
    assert many.errors == pytest.approx([0.2, 0.01, 0.5, 0.3, 0.001], rel=0.02)
    few = fit_error_curve([30] * 5, [0, 3, 9, 3, 0], claims)
    assert few.errors == pytest.approx(claims, rel=0.25)


cells = st.lists(
    st.integers(0, 10_000).flatmap(lambda m: st.tuples(st.just(m), st.integers(0, m))), min_size=1, max_size=25
)


@settings(max_examples=50, deadline=None)
@given(cells, st.data())
def test_whatever_was_counted_errors_are_probabilities_with_bounds(counts, data) -> None:
    claims = data.draw(st.lists(st.floats(0, 1), min_size=len(counts), max_size=len(counts)))
    m, w = [count for count, _ in counts], [wrong for _, wrong in counts]
    for curve in (fit_error_curve(m, w, claims), pooled_errors(m, w), mean_errors(m, [0.5] * len(m), [1.0] * len(m))):
        assert np.isfinite(curve.errors).all()
        assert ((curve.errors >= 0) & (curve.errors <= 1)).all()
        assert np.isfinite(curve.covariance).all()
        assert (np.linalg.eigvalsh(curve.covariance) > -1e-9).all()
