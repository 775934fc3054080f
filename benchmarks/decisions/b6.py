"""B6: the error without labels, in windows whose requests are others than those that the model was tested on.

Ten gradient-boosted classifiers, baselines from 20,000 held-out rows, and 200 windows of 2,000 rows whose mix is tilted
in a random direction by a random amount: what is right for a row stays as it was. Beside the estimate stands what
nobody can beat: the error that is known of each row's probability, which misses what labels show by their chance alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special
from sklearn.ensemble import HistGradientBoostingClassifier

from benchmarks.common.figures import Figure
from benchmarks.common.progress import say
from benchmarks.decisions.options import Options
from benchmarks.decisions.table import OTHERS
from kingmaker.core.counts.baseline import Baseline, Cell, Feature, Kind
from kingmaker.core.monitoring.estimate import estimate_error, source_of
from kingmaker_serving.counts.baseline import Column
from kingmaker_serving.counts.cells import CellCounts
from kingmaker_serving.package.reference import SCORE_CELLS, build_column

NAME: Final = "B6"
TRAINING: Final = 20_000
HELD_OUT: Final = 20_000
POOL: Final = 200_000
ROWS: Final = 2_000
FEATURES: Final = 8
THRESHOLD: Final = 0.5
STEEPEST: Final = 1.5
"""The steepest tilt, in the exponent per standard deviation."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pool:
    """Rows of which all is known: `x` [n, features], and per row whether the model is `wrong` and the chance of it.

    `score` is the model's probability of the second class.
    """

    x: Floats
    score: Floats
    chance: Floats
    wrong: NDArray[np.bool_]


def draw_rows(random: np.random.Generator, rows: int) -> tuple[Floats, Floats]:
    """Draw rows [n, features] and the probability [n] of the second class: slopes, a product, a step, a bend."""
    x = random.normal(size=(rows, FEATURES))
    logit = 5 * x[:, 0] + 3 * x[:, 1] - 3 * x[:, 2] + 3 * x[:, 0] * x[:, 1] + 4 * (x[:, 3] > 0.5) + x[:, 4] ** 2 - 5
    return x, special.expit(logit)


def make_pools(random: np.random.Generator, held_out_rows: int) -> tuple[Pool, Pool]:
    """Fit the model and give its held-out rows and those that windows are drawn from."""
    x, probability = draw_rows(random, TRAINING)
    model = HistGradientBoostingClassifier(random_state=0).fit(x, random.random(TRAINING) < probability)
    held_out, rest = (_pool(random, model, rows) for rows in (held_out_rows, POOL))
    return held_out, rest


def _pool(random: np.random.Generator, model: HistGradientBoostingClassifier, rows: int) -> Pool:
    x, probability = draw_rows(random, rows)
    score = model.predict_proba(x)[:, 1].astype(np.float32).astype(float)
    says = score > THRESHOLD
    truth = random.random(rows) < probability
    return Pool(x, score, np.where(says, 1 - probability, probability), says != truth)


def baseline_of(pool: Pool) -> tuple[Baseline, Column]:
    """Make the baseline that packaging makes of held-out rows, as far as the estimate needs it, and its column."""
    column = build_column(
        pool.score.astype(np.float32),
        datatype="FP32",
        output="probabilities",
        column=1,
        wrong=pool.wrong,
        cells=SCORE_CELLS,
        edges=(THRESHOLD,),
        is_category=False,
    )
    cells = tuple(Cell(c.name, c.count, bool(c.rare), upper=c.upper, wrong=c.wrong) for c in column.cells)
    score = Feature("score", Kind.NUMERIC, cells, held_out=True)
    return Baseline("sha256:b6", len(pool.x), (), score=score), column


def tilt(random: np.random.Generator, pool: Pool) -> NDArray[np.intp]:
    """Draw the rows of a window: those far out in a random direction are more frequent."""
    direction = random.normal(size=FEATURES)
    lean = pool.x @ (direction / np.linalg.norm(direction)) * random.uniform(0, STEEPEST)
    weights = np.exp(lean - lean.max())
    return random.choice(len(pool.x), size=ROWS, p=weights / weights.sum())


def windows(random: np.random.Generator, count: int, held_out_rows: int = HELD_OUT) -> dict[str, Floats]:
    """Give per window of one model what labels show, what nobody can beat, and what everybody estimates."""
    held_out, rest = make_pools(random, held_out_rows)
    baseline, column = baseline_of(held_out)
    source = source_of(baseline, of_sizes=False)
    if source is None:
        raise ValueError("the baseline has no errors on held-out rows")
    own = _rates(column)
    found: dict[str, list[float]] = {}
    for _ in range(count):
        rows = tilt(random, rest)
        counter = CellCounts([Column(kind=column.kind, cells=column.cells, input="values")], {"values": "FP32"})
        counter.add({"values": rest.score[rows].astype(np.float32)})
        counts = np.array(counter.counts.tolist())
        estimate = estimate_error(source, counts)
        if estimate is None:
            raise ValueError("too many rows lie where nothing is known")
        claimed = np.minimum(rest.score[rows], 1 - rest.score[rows])
        for name, value in (
            ("labels", rest.wrong[rows].mean()),
            ("floor", rest.chance[rows].mean()),
            ("kingmaker", estimate.error),
            ("low", estimate.within.low),
            ("high", estimate.within.high),
            ("each cell by itself", counts @ own / counts.sum()),
            ("what the score claims", claimed.mean()),
            ("nothing changes", held_out.wrong.mean()),
        ):
            found.setdefault(name, []).append(float(value))
    return {name: np.array(values) for name, values in found.items()}


def _rates(column: Column) -> Floats:
    return np.array([(cell.wrong or 0) / cell.count if cell.count else 0.0 for cell in column.cells])


def run(options: Options) -> Iterator[Figure]:
    """Measure."""
    models, count = options.amount(10, 2), options.amount(20, 5)
    made = []
    for seed in range(models):
        made.append(windows(np.random.default_rng(seed), count))
        say(f"{NAME}: {seed + 1} of {models} models")
    found = {name: np.concatenate([one[name] for one in made]) for name in made[0]}
    misses = {name: float(np.abs(values - found["labels"]).mean()) for name, values in found.items()}
    others = {
        name: misses[name] / misses["floor"]
        for name in ("each cell by itself", "what the score claims", "nothing changes")
    }
    details = {OTHERS: others, "floor": misses["floor"], "MAE": misses["kingmaker"], "errors": _range(found["labels"])}
    yield Figure(f"{NAME}: MAE ÷ sampling floor", misses["kingmaker"] / misses["floor"], 1.2, "", details)
    inside = (found["labels"] >= found["low"]) & (found["labels"] <= found["high"])
    # Two standard errors of 200 windows below what is promised.
    yield Figure(f"{NAME}: labels within the bounds of 95 %", float(inside.mean()), 0.92, "", at_least=True)


def _range(values: Floats) -> list[float]:
    return [float(values.min()), float(values.max())]
