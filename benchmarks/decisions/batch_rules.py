"""Rules of others for batches, written by their documentation. The packages themselves are not run.

They take a second per report; here the rules see thousands of batches. What a release does beyond its documented rule
does not show.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from scipy import stats

from benchmarks.decisions.batches import FEATURES, NUMERIC, Batch
from benchmarks.decisions.columns import Floats

Rule = Callable[[Batch], bool]
Maker = Callable[[Batch, np.random.Generator], Rule]
"""Makes a rule of a reference."""
_CHUNKS: Final = 10


def _counts(reference: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Categories of both, missing ones as one more."""
    reference, values = (np.where(np.isnan(x), -1, x) for x in (reference, values))
    known = np.unique(np.concatenate([reference, values]))
    return tuple(np.array([(x == k).sum() for k in known], dtype=float) for x in (reference, values))  # type: ignore[return-value]


def _complete(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def _js(p: Floats, q: Floats) -> float:
    """Jensen-Shannon distance, natural logarithm."""
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.nansum(np.where(x > 0, x * np.log(x / middle), 0)) for x in (p, q)]
    return float(np.sqrt(max(0.0, sum(parts) / 2)))


def _hypotheses(reference: Batch, random: np.random.Generator) -> Rule:
    """Kolmogorov-Smirnov and chi-square tests, Bonferroni: alibi-detect's TabularDrift. It knows no missing values."""
    del random

    def rule(batch: Batch) -> bool:
        p_values = []
        for at in range(FEATURES):
            if at < NUMERIC:
                p_values.append(stats.ks_2samp(reference[:, at], _complete(batch[:, at]), method="asymp").pvalue)
            else:
                counts = np.array(_counts(reference[:, at], batch[:, at]))
                p_values.append(stats.chi2_contingency(counts, correction=False).pvalue)
        return bool(min(p_values) <= 0.05 / FEATURES)

    return rule


def _distances(reference: Batch, random: np.random.Generator) -> Callable[[Batch], list[bool]]:
    """Wasserstein distance per standard deviation and Jensen-Shannon distance above .1: evidently's columns."""
    del random
    spread = reference[:, :NUMERIC].std(axis=0)

    def columns(batch: Batch) -> list[bool]:
        far = [
            stats.wasserstein_distance(reference[:, at], _complete(batch[:, at])) / spread[at] >= 0.1
            for at in range(NUMERIC)
        ]
        return far + [_js(*_counts(reference[:, at], batch[:, at])) >= 0.1 for at in range(NUMERIC, FEATURES)]

    return columns


def _any_column(reference: Batch, random: np.random.Generator) -> Rule:
    columns = _distances(reference, random)
    return lambda batch: any(columns(batch))


def _psi(limit: float) -> Maker:
    """The population stability index of any column, ten quantile cells or categories, above a constant."""

    def make(reference: Batch, random: np.random.Generator) -> Rule:
        del random
        edges = [np.unique(np.quantile(reference[:, at], np.linspace(0, 1, 11)[1:-1])) for at in range(NUMERIC)]

        def rule(batch: Batch) -> bool:
            return any(_psi_of(reference, batch, at, edges) > limit for at in range(FEATURES))

        return rule

    return make


def _psi_of(reference: Batch, batch: Batch, at: int, edges: list[Floats]) -> float:
    if at < NUMERIC:
        cells = [np.searchsorted(edges[at], _complete(x[:, at])).astype(float) for x in (reference, batch)]
        r, c = _counts(*cells)
    else:
        r, c = _counts(reference[:, at], batch[:, at])
    p, q = ((x + 0.5) / (x + 0.5).sum() for x in (r, c))
    return float(((q - p) * np.log(q / p)).sum())


def _chunks(reference: Batch, random: np.random.Generator) -> Rule:
    """Jensen-Shannon distance beyond mean and three deviations of ten chunks of the reference: NannyML's default."""
    del random
    edges = [np.histogram_bin_edges(reference[:, at], bins="doane") for at in range(NUMERIC)]

    def distances(batch: Batch) -> Floats:
        found = []
        for at in range(FEATURES):
            if at < NUMERIC:
                r, c = (np.histogram(_complete(x[:, at]), edges[at])[0].astype(float) for x in (reference, batch))
                missed = len(_complete(batch[:, at])) - c.sum()
                r, c = np.append(r, 0.0), np.append(c, missed)
            else:
                r, c = _counts(reference[:, at], batch[:, at])
            found.append(_js(r, c) if c.sum() else 0.0)
        return np.array(found)

    known = np.array([distances(chunk) for chunk in np.array_split(reference, _CHUNKS)])
    highest = known.mean(axis=0) + 3 * known.std(axis=0)
    return lambda batch: bool((distances(batch) > highest).any())


RULES: Final[Mapping[str, Maker]] = {
    "alibi-detect's rule (KS, χ², Bonferroni)": _hypotheses,
    "evidently's rule (W1, JS ≥ .1), any column": _any_column,
    "NannyML's rule (JS, 3 sd of chunks)": _chunks,
    "PSI > .1 in any column": _psi(0.1),
    "PSI > .2 in any column": _psi(0.2),
}
