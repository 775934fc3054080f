"""Right and wrong answers of a Hoeffding tree while concepts change, and what river's detectors make of them.

    python b4.py IN.npz IN.json OUT.json

The protocol of Cerqueira et al. 2026 (arXiv:2606.07789): a concept lasts for a number of rows, another one follows at
once, drawn from all others; the tree goes on learning and is never replaced; detectors see its errors, row by row.
"""

import base64
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from river import base, drift, tree
from river.datasets import synth

UNSEEN = 1000
"""Rows from which the tree only learns."""


def concepts(generator: str, count: int, seed: int) -> list[int]:
    """Draw the concepts of a stream: no two neighbours are alike."""
    draw, kinds = random.Random(seed), {"Agrawal": 10, "SEA": 4, "STAGGER": 3}[generator]
    chosen = [0]
    while len(chosen) < count:
        chosen.append(draw.choice([kind for kind in range(kinds) if kind != chosen[-1]]))
    return chosen


def rows(generator: str, concept: int, seed: int) -> Iterator[tuple[dict[str, Any], Any]]:
    """Give rows of one concept without end."""
    if generator == "Agrawal":
        made = synth.Agrawal(classification_function=concept, seed=seed)
    elif generator == "SEA":
        made = synth.SEA(variant=concept, seed=seed)
    else:
        made = synth.STAGGER(classification_function=concept, seed=seed)
    return iter(made)


def errors_of(generator: str, drifts: int, every: int, seed: int) -> np.ndarray:
    """Give for each row whether the tree was wrong; of the rows that it only learnt from it was not."""
    learner, wrong = tree.HoeffdingTreeClassifier(), np.zeros((drifts + 1) * every, dtype=np.uint8)
    at = 0
    for number, concept in enumerate(concepts(generator, drifts + 1, seed)):
        stream = rows(generator, concept, 1000 * seed + number)
        for _ in range(every):
            x, y = next(stream)
            if at >= UNSEEN:
                wrong[at] = learner.predict_one(x) != y
            learner.learn_one(x, y)
            at += 1
    return wrong


DETECTORS: dict[str, type[base.DriftDetector] | type[base.BinaryDriftDetector]] = {
    "ADWIN": drift.ADWIN,
    "PageHinkley": drift.PageHinkley,
    "HDDM_A": drift.binary.HDDMA,
    "HDDM_W": drift.binary.HDDMW,
    "DDM": drift.binary.DDM,
    "EDDM": drift.binary.EDDM,
    "FHDDM": drift.binary.FHDDM,
    "KSWIN": drift.KSWIN,
}


def detections(name: str, wrong: np.ndarray) -> list[int]:
    """Give the rows at which a detector with its defaults says that there was a drift."""
    detector = DETECTORS[name](seed=1) if name == "KSWIN" else DETECTORS[name]()
    found = []
    for at in range(UNSEEN, len(wrong)):
        detector.update(bool(wrong[at]) if isinstance(detector, base.BinaryDriftDetector) else float(wrong[at]))
        if detector.drift_detected:
            found.append(at)
    return found


def main() -> None:
    """Make what was asked for."""
    _, given, wrote = sys.argv[1:]
    asked = json.loads(Path(given).read_text())
    streams = []
    for generator in asked["generators"]:
        for seed in asked["seeds"]:
            wrong = errors_of(generator, asked["drifts"], asked["every"], seed)
            # A hundred times slower than the others: it sees the beginning of one stream of a kind.
            seen = {"KSWIN": min(len(wrong), 4 * asked["every"])} if seed == asked["seeds"][0] else {}
            names = [name for name in DETECTORS if name != "KSWIN" or seen]
            found = {name: detections(name, wrong[: seen.get(name, len(wrong))]) for name in names}
            bits = base64.b64encode(np.packbits(wrong).tobytes()).decode()
            streams.append(
                {"generator": generator, "seed": seed, "wrong": bits, "rows": len(wrong), "found": found, "seen": seen}
            )
    Path(wrote).write_text(json.dumps(streams))


if __name__ == "__main__":
    main()
