"""B4: labelled streams whose concept changes. Who notices, how soon, and who cries wolf.

Errors of a Hoeffding tree that goes on learning, by the protocol and the scores of Cerqueira et al. 2026
(arXiv:2606.07789). The operator's own judgement of labels sees them as it would see a champion's: a row a second,
looked at every ten seconds, in windows of 200, 400 and 800 seconds. An alarm has it begin anew, as a new champion does.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from benchmarks.common.figures import Figure
from benchmarks.common.progress import say
from benchmarks.decisions.options import Options
from benchmarks.decisions.peers import PeerError, ask
from benchmarks.decisions.table import OTHERS
from kingmaker.core.counts.label_windows import LabelWindows, Tally, advance_labels
from kingmaker.core.monitoring.performance import PerformancePolicy, judge_labels

NAME: Final = "B4"
GENERATORS: Final = ("Agrawal", "SEA", "STAGGER")
DRIFTS: Final = 10
"""Per stream; the protocol has 30 in one, here are ten streams of each kind."""
EVERY: Final = 10_000
DELAY: Final = 1000
"""Rows after a drift within which an alarm is about it."""
UNSEEN: Final = 1000
LOOK: Final = 10
"""Rows between two looks."""
SECONDS: Final = (200, 400, 800)
POLICY: Final = PerformancePolicy(
    tolerance=0.0,
    false_alarm_interval=timedelta(seconds=200_000),
    windows=tuple(timedelta(seconds=length) for length in SECONDS),
    min_labels=100,
    # Of streams in which a concept lasts for 10,000 rows, and a learner that goes on learning.
    remembered=8,
)
_EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)


def alarms(wrong: np.ndarray, policy: PerformancePolicy = POLICY, *, falls: bool = False) -> list[int]:
    """Give the rows at which errors are said to have risen; with `falls` also those at which they fell."""
    windows, found = _anew(policy, UNSEEN), list[int]()
    evaluated = windows.last
    sums = np.add.reduceat(wrong, np.arange(UNSEEN, len(wrong), LOOK)).tolist()
    for number, bad in enumerate(sums, start=1):
        now = _EPOCH + timedelta(seconds=UNSEEN + number * LOOK)
        windows = advance_labels(windows, Tally(LOOK, float(bad), LOOK, LOOK), now=now)
        if not windows.slot_ended(evaluated, now):
            continue
        evaluated = windows.last
        verdict = judge_labels(windows, policy, reference=None)
        windows = verdict.windows
        has_risen = verdict.shown is not None and verdict.shown.reason is not None
        if has_risen or (falls and verdict.fell):
            found.append(UNSEEN + number * LOOK)
        if has_risen:
            windows = _anew(policy, UNSEEN + number * LOOK)
    return found


def _anew(policy: PerformancePolicy, row: int) -> LabelWindows:
    now = _EPOCH + timedelta(seconds=row)
    return LabelWindows.going_on(None, model="m", score="ErrorRate", lengths=policy.windows, now=now)


def score(found: Sequence[int], drifts: Sequence[int], rows: int) -> dict[str, float]:
    """Score alarms as the protocol does: each belongs to the next drift whose time for alarms is not over.

    All that come within the delay are right, the first one tells the delay; a drift without one is missed.
    """
    right = wrong = missed = 0
    delays, begin = [], 0
    for drift in drifts:
        end = drift + DELAY
        near = [at for at in found if begin < at <= end]
        hits = [at - drift for at in near if at >= drift]
        right, wrong, missed = right + len(hits), wrong + len(near) - len(hits), missed + (not hits)
        delays += hits[:1]
        begin = end
    precision, recall = right / max(1, right + wrong), right / max(1, right + missed)
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    delay = float(np.mean(delays)) if delays else float("nan")
    return {"f1": f1, "false": 1000 * wrong / rows, "found": len(delays), "delay": delay}


def run(options: Options) -> Iterator[Figure]:
    """Measure."""
    seeds, drifts = list(range(options.amount(10, 1))), options.amount(DRIFTS, 3)
    try:
        streams = ask("river", "b4", options, generators=list(GENERATORS), seeds=seeds, drifts=drifts, every=EVERY)
    except PeerError as error:
        for name, must, is_least in (("mean F1", 0.6, True), ("false alarms ÷ ADWIN's", 0.5, False)):
            yield Figure(f"{NAME}: {name}", None, must, "", at_least=is_least, note=str(error))
        return
    scores = score_all(streams, drifts)
    means = {name: {key: mean(by, key) for key in ("f1", "false")} for name, by in scores.items()}
    ours = means.pop("kingmaker")
    best = max(means.values(), key=lambda one: one["f1"])["f1"]
    f1, false = ({name: one[key] for name, one in means.items()} for key in ("f1", "false"))
    yield Figure(f"{NAME}: mean F1", ours["f1"], 0.6, "", {OTHERS: f1, "by generator": scores}, at_least=True)
    yield Figure(f"{NAME}: mean F1, above the best of river", ours["f1"], best, "", at_least=True)
    details = {OTHERS: {name: value / false["ADWIN"] for name, value in false.items()}, "per 1,000 rows": ours["false"]}
    yield Figure(f"{NAME}: false alarms ÷ ADWIN's", ours["false"] / false["ADWIN"], 0.5, "", details)


def score_all(streams: Sequence[Mapping[str, Any]], drifts: int) -> dict[str, dict[str, dict[str, float]]]:
    """Score everybody on every stream: the mean over seeds, by name and generator."""
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    points = [EVERY * (number + 1) for number in range(drifts)]
    for number, stream in enumerate(streams, start=1):
        wrong = np.unpackbits(np.frombuffer(base64.b64decode(stream["wrong"]), dtype=np.uint8))[: stream["rows"]]
        for name, at in {"kingmaker": alarms(wrong), **stream["found"]}.items():
            by = found.setdefault(name, {}).setdefault(stream["generator"], [])
            rows = stream["seen"].get(name, stream["rows"])
            by.append(score(at, [point for point in points if point + DELAY < rows], rows))
        say(f"{NAME}: {number} of {len(streams)} streams")
    return {name: {generator: _mean(scores) for generator, scores in by.items()} for name, by in found.items()}


def mean(by: Mapping[str, Mapping[str, float]], key: str) -> float:
    """Give the mean over generators."""
    return float(np.mean([one[key] for one in by.values()]))


def _mean(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: float(np.nanmean([one[key] for one in scores])) for key in scores[0]}
