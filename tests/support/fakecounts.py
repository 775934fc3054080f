"""What a serving process would have counted: the text of `/profile`, and the baseline that names its cells."""

import json
from collections import Counter
from functools import lru_cache

import numpy as np

FEATURES = 30
"""Columns of the model that every fake pod serves."""
BASELINE_ROWS = 10_000
_ORDINARY = 10
_PREFIX = "kingmaker_profile_"


@lru_cache(maxsize=4096)
def baseline_document(model: str, *, features: int = FEATURES) -> bytes:
    """Give a model's baseline: the same for the same name, and another digest for every name.

    Args:
        model: Name of the Model, anything.
        features: How many numeric columns; each has ten ordinary cells and four rare ones.
    """
    columns = [
        {"name": f"feature {n}", "input": "features", "column": n, "kind": "Numeric", "cells": _cells(n)}
        for n in range(features)
    ]
    classes = [{"name": f"c{n}", "value": n, "count": BASELINE_ROWS // 2, "wrong": 100} for n in range(2)]
    rare = [{"name": name, "count": 0, "rare": True} for name in ("unseen", "missing")]
    document = {
        "format": "kingmaker.dev/baseline/v1",
        "rows": BASELINE_ROWS,
        # Readers leave alone what they don't know.
        "comment": model,
        "features": columns,
        "prediction": {"output": "label", "kind": "Categorical", "cells": [*classes, *rare]},
        "score": {"output": "probabilities", "column": 1, "kind": "Numeric", "cells": _cells(0)},
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _cells(feature: int) -> list[dict[str, object]]:
    share = BASELINE_ROWS // _ORDINARY
    ordinary = [{"name": str(n), "upper": n + 1 + feature / 100, "count": share} for n in range(_ORDINARY)]
    below = {"name": "below", "upper": feature / 100, "count": 0, "rare": True}
    return [below, *ordinary, *({"name": name, "count": 0, "rare": True} for name in ("above", "missing", "infinite"))]


class PodCounts:
    """Counts of one process, which grow as it is told of requests; they only ever grow."""

    def __init__(self, *, info: str, features: int = FEATURES, started: float = 1_700_000_000, seed: int = 0) -> None:
        """Begin at zero.

        Args:
            info: The labels of `kingmaker_profile_info`.
            features: How many are counted; without any, no cells are.
            started: When the process began, Unix seconds.
            seed: By which its cells differ from the baseline's, a little: no two processes count the same.
        """
        prefixes = _cell_prefixes(features)
        noise = np.random.default_rng(seed).uniform(0.95, 1.05, len(prefixes))
        self._prefixes = [prefix for prefix, _ in prefixes]
        self._shares = np.array([share for _, share in prefixes]) * noise
        self._started = started
        self._info = info
        self._answered: dict[int, float] = {}
        self._errors: Counter[int] = Counter()

    def answer(self, decision: int, requests: float) -> None:
        """Count answered requests of one row each, under the decision that routed them; parts of one add up."""
        self._answered[decision] = self._answered.get(decision, 0.0) + requests

    def fail(self, decision: int, requests: int) -> None:
        """Count requests that ended in a server error."""
        self._errors[decision] += requests

    def _labels(self, decision: int, count: int) -> list[str]:
        """Labels of requests of one row: one in ten is wrong, in either class alike."""
        digest = self._info.partition('model_digest="sha256:')[2][:16]
        who = f'model="m",digest="{digest}",decision="{decision}"'
        wrong, lines = count // 10, []
        for outcome, share, n in (("correct", "0", count - wrong), ("wrong", "1", wrong)):
            lines.append(f'{_PREFIX}feedback_total{{decision="{decision}",outcome="{outcome}"}} {n}')
            lines.append(f'{_PREFIX}feedback_requests_total{{{who},wrong="{share}"}} {n}')
            for true in (0, 1):
                said = true if outcome == "correct" else 1 - true
                cell = f'score="{3 + 6 * said}",predicted="{said}",true="{true}",outcome="{outcome}"'
                lines.append(f"{_PREFIX}feedback_classes_total{{{who},{cell}}} {n // 2}")
        return lines

    def render(self) -> str:
        """Write the exposition: rows are spread over the cells about as in the baseline, so nothing drifts."""
        lines = [f"{_PREFIX}info{{{self._info}}} 1", f"{_PREFIX}start_time_seconds {self._started:.3f}"]
        for decision, answered in sorted(self._answered.items()):
            count = int(answered)
            lines += (
                f'{_PREFIX}requests_total{{decision="{decision}",outcome="ok"}} {count}',
                f'{_PREFIX}rows_total{{decision="{decision}"}} {count}',
                f'{_PREFIX}latency_total{{decision="{decision}",le="0.01"}} {count}',
                *self._labels(decision, count // 2),
            )
        for decision, count in sorted(self._errors.items()):
            lines.append(f'{_PREFIX}requests_total{{decision="{decision}",outcome="server_error"}} {count}')
        rows = int(sum(self._answered.values()))
        cells = (self._shares * rows).astype(int).tolist()
        lines += (f"{prefix}{count}" for prefix, count in zip(self._prefixes, cells, strict=True))
        return "\n".join([*lines, f"{_PREFIX}feedback_unmatched_total 0", ""])


@lru_cache(maxsize=8)
def _cell_prefixes(features: int) -> list[tuple[str, float]]:
    """What stands before each cell's count, and the share of all rows that falls into it."""
    if not features:
        return []
    document = json.loads(baseline_document("", features=features))
    found = [
        (f'{_PREFIX}feature_total{{feature="{column["name"]}",cell="{cell["name"]}"}} ', cell["count"] / BASELINE_ROWS)
        for column in document["features"]
        for cell in column["cells"]
    ]
    for output in ("prediction", "score"):
        found += [
            (f'{_PREFIX}{output}_total{{cell="{cell["name"]}"}} ', cell["count"] / BASELINE_ROWS)
            for cell in document[output]["cells"]
        ]
    return found
