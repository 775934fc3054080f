"""How others decide about two arms, by their documentation; each is given the same labelled rows as we are.

Each takes cumulative counts per look, shape (looks, 4): rows and bad ones of the champion, rows and bad ones of the
challenger. It gives (what it decides, at which look): `Promote`, `Rollback`, or nothing.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from scipy import stats

PROMOTION: Final = 0.05
ROLLBACK: Final = 0.01
Rule = Callable[[np.ndarray], tuple[str, int]]


def z_test(counts: np.ndarray) -> tuple[str, int]:
    """Pooled two-proportion z-test, looked at every time, one-sided at 5 % to promote and at 1 % to roll back."""
    n_a, x_a, n_b, x_b = np.maximum(counts, 0).T.astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = (x_a + x_b) / (n_a + n_b)
        z = (x_a / n_a - x_b / n_b) / np.sqrt(pooled * (1 - pooled) * (1 / n_a + 1 / n_b))
    return _first(z > stats.norm.ppf(1 - PROMOTION), z < stats.norm.ppf(ROLLBACK))


def bayes(counts: np.ndarray) -> tuple[str, int]:
    """Beta(1, 1) priors, looked at every time: P(challenger better) over 95 % promotes, P(worse) over 99 % rolls back.

    Posteriors are compared as normal ones of the same means and variances, as is usual where rows are many.
    """
    n_a, x_a, n_b, x_b = counts.T.astype(float)
    mean_a, mean_b = (x_a + 1) / (n_a + 2), (x_b + 1) / (n_b + 2)
    variance = mean_a * (1 - mean_a) / (n_a + 3) + mean_b * (1 - mean_b) / (n_b + 3)
    better = stats.norm.cdf((mean_a - mean_b) / np.sqrt(variance))
    return _first(better > 1 - PROMOTION, better < ROLLBACK)


def thresholds(counts: np.ndarray) -> tuple[str, int]:
    """An analysis as Argo Rollouts has them: a condition on each interval's own rates, no statistics.

    `successCondition: canary <= 1.1 * stable`, `count: 10`, `failureLimit: 3`: ten measurements that succeed promote,
    the fourth that fails rolls back. Intervals without rows are inconclusive and measured again.
    """
    n_a, x_a, n_b, x_b = np.diff(counts, axis=0, prepend=0).T.astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        good = x_b / n_b <= 1.1 * x_a / n_a
    measured = (n_a > 0) & (n_b > 0)
    return _first(np.cumsum(good & measured) >= 10, np.cumsum(~good & measured) > 3)


RULES: Final[Mapping[str, Rule]] = {
    "z-test, peeking": z_test,
    "Bayes P(better) > .95, peeking": bayes,
    "thresholds as Argo Rollouts'": thresholds,
}


def _first(promote: np.ndarray, rollback: np.ndarray) -> tuple[str, int]:
    either = np.flatnonzero(promote | rollback)
    if not len(either):
        return "", len(promote)
    return "Rollback" if rollback[either[0]] else "Promote", int(either[0]) + 1
