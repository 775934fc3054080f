"""Requests of two arms whose labels arrive, in the ways in which they really come."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from benchmarks.decisions.pods import Answers, Paired
from benchmarks.decisions.trial import CHALLENGER, CHAMPION, Trial
from kingmaker.core.counts.buckets import BUCKETS, EIGHTHS, LABELLED, BucketClass, class_name, latency_name

Draw = Callable[[np.random.Generator, int, int], Answers]
"""Draws the answers of a number of requests at a look, by its number."""


@dataclass
class Seen:
    """What opponents are told: rows and bad ones of both arms, cumulative, per look."""

    totals: np.ndarray = field(default_factory=lambda: np.zeros(4, dtype=np.int64))
    looks: list[np.ndarray] = field(default_factory=list)

    def add(self, champion: tuple[int, int], challenger: tuple[int, int]) -> None:
        """Note rows and bad rows of both arms between two looks."""
        self.totals = self.totals + np.array([*champion, *challenger])
        self.looks.append(self.totals)

    @property
    def counts(self) -> np.ndarray:
        """What rules take."""
        return np.array(self.looks)


@dataclass
class Split:
    """Requests that a router splits; `share` is what it really sends to the challenger, None: as designed."""

    random: np.random.Generator
    requests: int
    champion: Draw
    challenger: Draw
    share: float | None = None
    seen: Seen = field(default_factory=Seen)

    def __call__(self, trial: Trial, look: int) -> None:
        """Let both arms answer what came between two looks."""
        run = trial.run
        if run is None:
            return
        mine = int(self.random.binomial(self.requests, run.share if self.share is None else self.share))
        told = []
        parts = ((CHAMPION, self.requests - mine, self.champion), (CHALLENGER, mine, self.challenger))
        for name, count, draw in parts:
            answers = draw(self.random, count, look)
            trial.pod(name).answer(run.decision, answers, self.random)
            told.append((int(answers.rows.sum()), int(answers.wrong.sum())))
        self.seen.add(*told)


def one_row(rate: float | Callable[[int], float]) -> Draw:
    """Requests of one row that is wrong with a rate, which may depend on the look; two classes alike."""

    def draw(random: np.random.Generator, count: int, look: int) -> Answers:
        chance = rate(look) if callable(rate) else rate
        return judged((random.random(count) < chance).astype(int), np.ones(count, dtype=int), random)

    return draw


def many_rows(rate: float, rows: int, correlation: float) -> Draw:
    """Requests of `rows` rows each, whose outcomes are correlated within a request (beta-binomial)."""
    a, b = (p * (1 - correlation) / correlation for p in (rate, 1 - rate))

    def draw(random: np.random.Generator, count: int, _look: int) -> Answers:
        return judged(random.binomial(rows, random.beta(a, b, count)), np.full(count, rows), random)

    return draw


def unlabelled(_random: np.random.Generator, count: int, _look: int) -> Answers:
    """Requests whose labels never arrive."""
    none = np.zeros(0, dtype=int)
    return Answers(none, none, unlabelled=count)


def judged(
    wrong: np.ndarray, rows: np.ndarray, random: np.random.Generator, buckets: np.ndarray | None = None
) -> Answers:
    """Give requests a true class each, two of them alike; the row that stands for one is drawn.

    Args:
        wrong: Of their rows.
        rows: They have.
        random: Draws.
        buckets: Into which a router put them; None where it keeps no entities together.
    """
    missed = random.random(len(wrong)) * rows < wrong
    true = random.random(len(wrong)) < 0.5
    classes = {
        (predicted, real): int(np.count_nonzero((true == (real == "1")) & (missed == (predicted != real))))
        for predicted in ("0", "1")
        for real in ("0", "1")
    }
    by_bucket = {} if buckets is None else _by_bucket(buckets, wrong / rows, missed, true)
    return Answers(wrong, rows, classes, buckets=by_bucket)


def _by_bucket(buckets: np.ndarray, shares: np.ndarray, missed: np.ndarray, true: np.ndarray) -> dict[str, np.ndarray]:
    """Count requests of two classes by bucket, all of them as fast."""
    all_of_them = np.bincount(buckets, minlength=BUCKETS)
    eighths = np.bincount(buckets, np.round(8 * shares), BUCKETS).astype(np.int64)
    found = {latency_name(3): all_of_them, LABELLED: all_of_them, EIGHTHS: eighths}
    for real in (False, True):
        for is_wrong in (False, True):
            cell = BucketClass(str(int(real ^ is_wrong)), str(int(real)), is_wrong)
            found[class_name(cell)] = np.bincount(buckets[(true == real) & (missed == is_wrong)], minlength=BUCKETS)
    return found


def confusion(chances: dict[tuple[str, str], float]) -> Draw:
    """Requests of one row with a chance per (predicted, true)."""
    cells = list(chances)

    def draw(random: np.random.Generator, count: int, _look: int) -> Answers:
        found = random.multinomial(count, [chances[cell] for cell in cells]).tolist()
        wrong = np.repeat([int(predicted != true) for predicted, true in cells], found)
        return Answers(wrong, np.ones(count, dtype=int), dict(zip(cells, found, strict=True)))

    return draw


@dataclass
class Copies:
    """Requests of which the challenger gets a copy; chances by who is wrong: nobody, the champion, the other, both."""

    random: np.random.Generator
    requests: int
    champion_only: float
    challenger_only: float
    both: float = 0.05
    seen: Seen = field(default_factory=Seen)

    def __call__(self, trial: Trial, _look: int) -> None:
        """Let the champion answer, and compare, what came between two looks."""
        run = trial.run
        if run is None:
            return
        rest = 1 - self.champion_only - self.challenger_only - self.both
        chances = [self.champion_only, self.challenger_only, self.both, rest]
        counts = self.random.multinomial(self.requests, chances).tolist()
        wrong = np.repeat([1, 0, 1, 0], counts)
        pod = trial.pod(CHAMPION)
        pod.answer(run.decision, judged(wrong, np.ones(len(wrong), dtype=int), self.random), self.random)
        cells = dict[tuple[str, str, str], int]()
        for (mine, theirs), count in zip(((1, 0), (0, 1), (1, 1), (0, 0)), counts, strict=True):
            ones = int(self.random.binomial(count, 0.5))
            for true, part in ((1, ones), (0, count - ones)):
                key = (str(true ^ mine), str(true ^ theirs), str(true))
                cells[key] = cells.get(key, 0) + part
        pod.compare(run.decision, CHALLENGER, Paired(cells))
        self.seen.add((len(wrong), counts[0] + counts[2]), (len(wrong), counts[1] + counts[2]))


@dataclass
class Sticky:
    """Requests of entities that a router leads by their id, each to the same arm for the whole of a contest.

    Each entity has an error rate of its own (beta, by the correlation); both arms err alike.
    """

    random: np.random.Generator
    requests: int
    entities: int
    correlation: float
    rate: float = 0.1
    is_zipf: bool = False
    seen: Seen = field(default_factory=Seen)

    def __post_init__(self) -> None:
        """Draw the entities."""
        a, b = (p * (1 - self.correlation) / self.correlation for p in (self.rate, 1 - self.rate))
        self.rates = self.random.beta(a, b, self.entities)
        sizes = 1 / np.arange(1, self.entities + 1) if self.is_zipf else np.ones(self.entities)
        self.sizes = sizes / sizes.sum()
        self.buckets = self.random.integers(0, BUCKETS, self.entities)

    def __call__(self, trial: Trial, _look: int) -> None:
        """Let both arms answer what came between two looks."""
        run = trial.run
        if run is None:
            return
        who = self.random.choice(self.entities, self.requests, p=self.sizes)
        wrong = (self.random.random(self.requests) < self.rates[who]).astype(int)
        buckets = self.buckets[who]
        challenged = buckets % 100 < run.weight
        told = []
        for name, mask in ((CHAMPION, ~challenged), (CHALLENGER, challenged)):
            answers = judged(wrong[mask], np.ones(int(mask.sum()), dtype=int), self.random, buckets[mask])
            trial.pod(name).answer(run.decision, answers, self.random)
            told.append((int(mask.sum()), int(wrong[mask].sum())))
        self.seen.add(*told)


@dataclass
class Bursts:
    """Two pods per arm that both crash at random, `failed` requests each time; labels do not arrive."""

    random: np.random.Generator
    requests: int
    chance: float
    failed: int
    seen: Seen = field(default_factory=Seen)

    def __call__(self, trial: Trial, _look: int) -> None:
        """Let the pods answer, and crash."""
        run = trial.run
        if run is None:
            return
        told = []
        for name, share in ((CHAMPION, 1 - run.share), (CHALLENGER, run.share)):
            pods = [pod for pod in trial.pods if pod.model == name]
            total = errors = 0
            for pod in pods:
                count = int(self.random.binomial(self.requests // len(pods), share))
                failed = min(count, self.failed) if self.random.random() < self.chance else 0
                none = np.zeros(0, dtype=int)
                pod.answer(run.decision, Answers(none, none, {}, count - failed, failed), self.random)
                total, errors = total + count, errors + failed
            told.append((total, errors))
        self.seen.add(*told)
