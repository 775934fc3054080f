"""Error rates and sample sizes of the contest's sequential tests, next to tests of fixed size.

    python benchmarks/contest_statistics.py [--runs 200]

Type I: the share of runs without a difference in which a test rejects at any of its looks; it must not exceed α by
more than two standard errors. Sample sizes: requests of both arms (pairs for shadows) until the challenger is proven
better at α = 5 %, as median and 90th percentile, and as ratio of the median to what a one-sided test of fixed size
needs for 80 % power.
"""

import argparse
import math
from collections.abc import Iterable

import numpy as np
from scipy import stats

from kingmaker.core.statistics.sequential import Pairs, Split, log_e_harm, log_e_paired_superior, log_e_superior

ALPHA = 0.05
THRESHOLD = -math.log(ALPHA)
LOOKS_PER_FIXED_TEST = 50
MOST_FIXED_TESTS = 8
"""How many times the size of the fixed test a run goes on before it counts as undecided."""
SPLITS = [(0.5, 0.10, 0.08), (0.5, 0.10, 0.09), (0.1, 0.10, 0.08), (0.5, 0.20, 0.18), (0.5, 0.02, 0.015)]
SHADOWS = [(0.03, 0.05), (0.04, 0.05), (0.01, 0.02)]
NORMAL = (stats.norm.ppf(1 - ALPHA) + stats.norm.ppf(0.8)) ** 2


def first(values: Iterable[float]) -> int | None:
    """Index of the first value that reaches the threshold."""
    return next((i for i, value in enumerate(values) if value >= THRESHOLD), None)


def draw_split(random: np.random.Generator, share: float, rates: tuple, look: int, looks: int) -> tuple:
    """Requests and bad events of the champion (a) and the challenger (b), cumulative per look."""
    n_b = random.binomial(look, share, size=looks)
    x_a, x_b = random.binomial(look - n_b, rates[0]), random.binomial(n_b, rates[1])
    return tuple(column.cumsum() for column in (look - n_b, n_b, x_a, x_b))


def z_test(n_a: np.ndarray, n_b: np.ndarray, x_a: np.ndarray, x_b: np.ndarray) -> np.ndarray:
    """Z of the pooled two-proportion test, positive when the challenger is better."""
    pooled = (x_a + x_b) / (n_a + n_b)
    deviation = np.sqrt(pooled * (1 - pooled) * (1 / np.maximum(n_a, 1) + 1 / np.maximum(n_b, 1)))
    return (x_a / np.maximum(n_a, 1) - x_b / np.maximum(n_b, 1)) / np.maximum(deviation, 1e-12)


def type_one_split(random: np.random.Generator, runs: int) -> dict[str, float]:
    found = {"split, superior": 0, "split, harm": 0, "  z-test with the same looks": 0}
    for _ in range(runs):
        n_a, n_b, x_a, x_b = draw_split(random, 0.5, (0.1, 0.1), 400, 100)
        splits = [[Split(int(a), int(b), 0.5)] for a, b in zip(x_a, x_b, strict=True)]
        found["split, superior"] += first(map(log_e_superior, splits)) is not None
        found["split, harm"] += first(map(log_e_harm, splits)) is not None
        found["  z-test with the same looks"] += bool((z_test(n_a, n_b, x_a, x_b) > stats.norm.ppf(1 - ALPHA)).any())
    return {name: count / runs for name, count in found.items()}


def type_one_ramp(random: np.random.Generator, runs: int) -> dict[str, float]:
    """Ramp 5, 25, 50 %; base rate from 8 to 14 % with a season; no difference between the arms."""
    found = {"ramp with moving base rate, superior": 0, "ramp with moving base rate, harm": 0, "  pooled z-test": 0}
    time = np.arange(90) / 90
    rate = 0.08 + 0.06 * time + 0.02 * np.sin(12 * np.pi * time)
    share = np.repeat([0.05, 0.25, 0.5], 30)
    for _ in range(runs):
        n_b = random.binomial(300, share)
        x_a, x_b = random.binomial(300 - n_b, rate), random.binomial(n_b, rate)
        looks = [ramp_until(look, share, x_a, x_b) for look in range(1, 91)]
        found["ramp with moving base rate, superior"] += first(map(log_e_superior, looks)) is not None
        found["ramp with moving base rate, harm"] += first(map(log_e_harm, looks)) is not None
        z = z_test((300 - n_b).cumsum(), n_b.cumsum(), x_a.cumsum(), x_b.cumsum())
        found["  pooled z-test"] += bool((np.abs(z) > stats.norm.ppf(1 - ALPHA)).any())
    return {name: count / runs for name, count in found.items()}


def ramp_until(look: int, share: np.ndarray, x_a: np.ndarray, x_b: np.ndarray) -> list[Split]:
    stages = (slice(start, min(look, start + 30)) for start in range(0, look, 30))
    return [Split(int(x_a[s].sum()), int(x_b[s].sum()), float(share[s][0])) for s in stages]


def type_one_paired(random: np.random.Generator, runs: int) -> dict[str, float]:
    found = {}
    for margin, chances in ((0.0, (0.05, 0.05, 0.05, 0.85)), (0.1, (0.05, 0.06, 0.05, 0.84))):
        count = 0
        for _ in range(runs):
            rows = random.multinomial(100, chances, size=200)[:, :3].cumsum(axis=0).tolist()
            count += first(log_e_paired_superior([Pairs(*row)], margin=margin) for row in rows) is not None
        found[f"shadow, margin {margin:.0%}"] = count / runs
    return found


def size_of_split(random: np.random.Generator, share: float, rates: tuple, runs: int) -> tuple[float, list[float]]:
    a, b = rates
    fixed = NORMAL * (a * (1 - a) / (1 - share) + b * (1 - b) / share) / (a - b) ** 2
    look = max(20, round(fixed / LOOKS_PER_FIXED_TEST))
    needed = []
    for _ in range(runs):
        _, _, x_a, x_b = draw_split(random, share, rates, look, LOOKS_PER_FIXED_TEST * MOST_FIXED_TESTS)
        found = first(log_e_superior([Split(int(p), int(q), share)]) for p, q in zip(x_a, x_b, strict=True))
        needed.append(math.inf if found is None else (found + 1) * look)
    return fixed, needed


def size_of_shadow(random: np.random.Generator, better: float, worse: float, runs: int) -> tuple[float, list[float]]:
    """`better`: share of pairs that only the challenger got wrong, `worse`: only the champion."""
    gain = worse - better
    fixed = NORMAL * (better + worse - gain**2) / gain**2
    look = max(5, round(fixed / LOOKS_PER_FIXED_TEST))
    needed = []
    for _ in range(runs):
        chances = (worse, better, 0.05, 0.95 - worse - better)
        steps = random.multinomial(look, chances, size=LOOKS_PER_FIXED_TEST * MOST_FIXED_TESTS)
        rows = steps[:, :3].cumsum(axis=0).tolist()
        found = first(log_e_paired_superior([Pairs(*row)]) for row in rows)
        needed.append(math.inf if found is None else (found + 1) * look)
    return fixed, needed


def print_size(case: str, fixed: float, needed: list[float]) -> None:
    median, p90 = np.median(needed), np.quantile(needed, 0.9, method="higher")
    print(f"{case:<34}{fixed:>10.0f}{median:>10.0f}{p90:>10.0f}{median / fixed:>8.2f}", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    random = np.random.default_rng(20261121)
    limit = ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / runs)
    print(f"Type I error with peeking, {runs} runs, α = {ALPHA}, accepted up to {limit:.3f}")
    for test in (type_one_split, type_one_ramp, type_one_paired):
        for name, share in test(random, runs).items():
            verdict = "no promise" if name.startswith(" ") else "ok" if share <= limit else "TOO HIGH"
            print(f"{name:<40}{share:>8.3f}  {verdict}", flush=True)
    print(f"\n{'Requests to prove a better one':<34}{'fixed n':>10}{'median':>10}{'p90':>10}{'ratio':>8}")
    for share, a, b in SPLITS:
        print_size(f"split {share:.0%}, {a:g} -> {b:g}", *size_of_split(random, share, (a, b), runs))
    for better, worse in SHADOWS:
        print_size(f"shadow {better:.0%}/{worse:.0%} discordant", *size_of_shadow(random, better, worse, runs))


if __name__ == "__main__":
    main()
