"""Reading of baseline documents: what is good comes out whole, what is off is refused with a sentence."""

import copy
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from kingmaker.core.counts.baseline import MAXIMUM_BYTES, Cell, Kind, parse_baseline, read_baseline

DOCUMENT: dict[str, Any] = {
    "format": "kingmaker.dev/baseline/v1",
    "rows": 10,
    "features": [
        {
            "name": "age",
            "input": "features",
            "column": 0,
            "kind": "Numeric",
            "cells": [
                {"name": "below", "count": 0, "rare": True},
                {"name": "0", "upper": 0, "lower": 0, "atom": True, "count": 4},
                {"name": "1", "upper": 28.1, "count": 6},
                {"name": "above", "count": 0, "rare": True},
            ],
        },
        {
            "name": "plan",
            "input": "plan",
            "column": 0,
            "kind": "Categorical",
            "cells": [
                {"name": "c0", "value": "basic", "count": 9},
                {"name": "other", "count": 1},
                {"name": "unseen", "count": 0, "rare": True},
            ],
        },
    ],
    "prediction": {
        "output": "label",
        "kind": "Categorical",
        "cells": [{"name": "c0", "value": 0, "count": 4, "wrong": 1}, {"name": "c1", "value": 1, "count": 4}],
    },
    "score": {"output": "p", "column": 1, "kind": "Numeric", "cells": [{"name": "0", "upper": 1.0, "count": 8}]},
    "fromTheFuture": {"any": "thing"},
}


def test_a_document_becomes_values() -> None:
    baseline = parse_baseline(DOCUMENT, digest="sha256:d")
    age, plan = baseline.features
    assert (baseline.digest, baseline.rows, age.name, age.kind, age.counts) == (
        "sha256:d",
        10,
        "age",
        Kind.NUMERIC,
        (0, 4, 6, 0),
    )
    assert age.cells[1] == Cell("0", 4)
    assert plan.cells[0] == Cell("c0", 9)
    assert [column.name for column in baseline.columns] == ["age", "plan", "prediction", "score"]
    assert baseline.prediction is not None


def test_prediction_and_score_may_be_absent() -> None:
    baseline = parse_baseline({k: DOCUMENT[k] for k in ("format", "rows", "features")}, digest="d")
    assert baseline.columns == baseline.features


def read(raw: bytes) -> object:
    return read_baseline(raw, digest=f"sha256:{hashlib.sha256(raw).hexdigest()}")


def test_bytes_are_checked_before_they_are_read() -> None:
    raw = json.dumps(DOCUMENT).encode()
    assert read(raw) == parse_baseline(DOCUMENT, digest=f"sha256:{hashlib.sha256(raw).hexdigest()}")
    with pytest.raises(ValueError, match=r"expected sha256:beef; fetch it again"):
        read_baseline(raw, digest="sha256:beef")
    with pytest.raises(ValueError, match=r"at most 4194304 are read"):
        read(b" " * (MAXIMUM_BYTES + 1))


@pytest.mark.parametrize("raw", [b"{", b"\xff\xfe", b"[" * 200_000], ids=["cut off", "not text", "nested too deep"])
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="baseline is not JSON"):
        read(raw)


def at(*path: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


AGE = ("features", 0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (at("format", value="v0"), "baseline.format is \"v0\": Input should be 'kingmaker.dev/baseline/v1'"),
        (at("rows", value=None), "baseline.rows is null: Input should be a valid integer"),
        (at("rows", value=0), "baseline.rows is 0: Input should be greater than or equal to 1"),
        (at("rows", value=1.5), "baseline.rows is 1.5"),
        (at("rows", value=True), "baseline.rows is true"),
        (at("rows", value=11), "feature 'age': cells count 10 rows, expected the baseline's 11"),
        (at("features", value=[]), "baseline.features is []"),
        (at("features", value={}), "baseline.features is {}"),
        (at("features", 1, value=[1]), "baseline.features[1] is [1]"),
        (at("features", 1, "name", value="age"), "feature names must be unique, found 'age' twice"),
        (at(*AGE, "name", value=""), "baseline.features[0] has no name"),
        (at(*AGE, "kind", value="Ordinal"), "is \"Ordinal\": Input should be 'Numeric' or 'Categorical'"),
        (at(*AGE, "kind", value=["Numeric"]), 'features[0].kind is ["Numeric"]'),
        (at(*AGE, "cells", 1, "name", value="below"), "cell names must be unique, found 'below' twice"),
        (at(*AGE, "cells", 1, "count", value=-4), "baseline.features[0].cells[1].count is -4: Input should be greater"),
        (at(*AGE, "cells", 1, "upper", value="x"), 'cells[1].upper is "x": Input should be a valid number'),
        (at(*AGE, "cells", 1, "upper", value=True), "cells[1].upper is true"),
        (at(*AGE, "cells", 1, "upper", value=float("nan")), "upper is NaN: Input should be a finite number"),
        (at(*AGE, "cells", 1, "upper", value=None), "a cell that is not rare has no upper edge"),
        (at(*AGE, "cells", 1, "upper", value=99), "are not in ascending order"),
        (at(*AGE, "cells", 1, "rare", value="no"), 'rare is "no": Input should be a valid boolean'),
        (at("features", 1, "cells", 0, "value", value=[1]), "features[1].cells[0].value.str is [1]"),
        (at("prediction", "cells", 0, "wrong", value=-1), "baseline.prediction.cells[0].wrong is -1"),
        (at("score", "cells", 0, "count", value=0), "every cell counts 0"),
    ],
)
def test_what_is_off_is_refused_with_a_sentence(change: Callable[[dict[str, Any]], None], sentence: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    change(document)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        parse_baseline(document, digest="d")


@pytest.mark.parametrize("document", [None, [], "baseline", 3])
def test_what_is_no_object_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match=r"baseline is .*: Input should be a valid dictionary"):
        parse_baseline(document, digest="d")
