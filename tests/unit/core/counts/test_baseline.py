"""Reading of baseline documents: what is good comes out whole, what is off is refused with a sentence."""

import copy
import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kingmaker.core.counts.baseline import MAXIMUM_BYTES, Cell, Kind, Span, parse_baseline, read_baseline

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


def in_full() -> dict[str, Any]:
    """The document with everything that it may hold."""
    document = copy.deepcopy(DOCUMENT)
    age, plan = document["features"]
    age |= {"importance": 0.75, "dispersion": {"1h": 1.5, "24h": 3.0}, "season": [[0, 4, 1, 0], [0, 0, 5, 0]]}
    plan |= {"importance": 0.25, "singletons": 1}
    document["prediction"]["cells"][0] |= {"absoluteError": 0.5, "squaredError": 2.5}
    document["prediction"]["heldOut"] = document["score"]["heldOut"] = True
    document["score"]["cells"][0] |= {"wrong": 2, "classes": {"0": 5, "1": 3}}
    document["season"] = {"period": "24h", "buckets": 2, "offset": "UTC"}
    document["bootstrapped"] = {"from": "2026-01-01T00:00:00Z", "until": "2026-01-08T00:00:00Z"}
    return document


def test_what_a_document_may_say_beside_counts_becomes_values() -> None:
    baseline = parse_baseline(in_full(), digest="d")
    age, plan = baseline.features
    assert baseline.prediction is not None
    assert baseline.score is not None
    assert (age.importance, age.singletons, plan.singletons) == (0.75, None, 1)
    assert baseline.prediction.cells[0] == Cell("c0", 4, value=0, wrong=1, absolute_error=0.5, squared_error=2.5)
    assert baseline.score.cells == (Cell("0", 8, upper=1.0, wrong=2, classes={"0": 5, "1": 3}),)
    assert baseline.prediction.held_out
    assert baseline.score.held_out
    assert not age.held_out
    assert baseline.bootstrapped == Span(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 8, tzinfo=UTC))


def test_a_document_of_before_says_nothing_beside_counts() -> None:
    baseline = parse_baseline(DOCUMENT, digest="d")
    age = baseline.features[0]
    assert (age.importance, age.singletons, age.dispersion, age.overdispersion(timedelta(hours=1))) == (
        None, None, {}, None)  # fmt: skip
    assert (baseline.season, baseline.bootstrapped) == (None, None)


def test_features_share_cells_whatever_their_edges() -> None:
    document = copy.deepcopy(DOCUMENT)
    document["features"].append(copy.deepcopy(document["features"][0]) | {"name": "tenure"})
    document["features"][2]["cells"][2]["upper"] = 99.0
    first, _, last = parse_baseline(document, digest="d").features
    assert all(one is other for one, other in zip(first.cells, last.cells, strict=True))


def test_dispersion_is_asked_for_by_length_of_window() -> None:
    age = parse_baseline(in_full(), digest="d").features[0]
    found = [age.overdispersion(timedelta(hours=hours)) for hours in (1, 2, 24, 168)]
    assert found == [1.5, 3.0, 3.0, 3.0]


def test_a_season_lies_as_live_counts_do() -> None:
    season = parse_baseline(in_full(), digest="d").season
    assert season is not None
    assert season.counts.tolist() == [[0, 4, 1, 0] + [0] * 6, [0, 0, 5, 0] + [0] * 6]
    assert season.columns.tolist() == [True, False, False, False]
    midnight = datetime(2026, 1, 1, tzinfo=UTC)
    at = [season.bucket(midnight + timedelta(hours=hours)) for hours in (0, 11.99, 12, 23.99, 24)]
    assert at == [0, 0, 1, 1, 0]
    assert season == parse_baseline(in_full(), digest="d").season
    assert season != parse_baseline(in_full() | {"season": {"period": "168h", "buckets": 2}}, digest="d").season


def test_a_week_begins_at_the_same_bucket_as_the_epoch() -> None:
    document = in_full() | {"season": {"period": "168h", "buckets": 2}}
    season = parse_baseline(document, digest="d").season
    assert season is not None
    thursday = datetime(1970, 1, 1, tzinfo=UTC)
    assert [season.bucket(thursday + timedelta(days=days)) for days in (0, 3, 4, 7)] == [0, 0, 1, 0]
    assert season.counts.dtype == np.int32


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (at(*AGE, "importance", value=1.5), "importance is 1.5: Input should be less than or equal to 1"),
        (at(*AGE, "importance", value=float("nan")), "importance is NaN"),
        (at(*AGE, "importance", value=0.9), "importances of the features sum up to 1.15, expected at most 1"),
        (at(*AGE, "dispersion", value={"1h": 0.5}), "greater than or equal to 1"),
        (at(*AGE, "dispersion", value={"1h": float("inf")}), "dispersion.1h is Infinity"),
        (at(*AGE, "dispersion", value={"soon": 1.5}), "must be a duration longer than 0s"),
        (at(*AGE, "season", value=[[0, 4, 1, 0]]), "season of 'age' must have 2 lists of 4 counts"),
        (at(*AGE, "season", value=[[0, 4], [0, 0]]), "season of 'age' must have 2 lists of 4 counts"),
        (at(*AGE, "season", value=[[0, 4, 6, 0], [0, 0, 1, 0]]), "season of 'age' counts more rows than its cells"),
        (at(*AGE, "season", value=[[0, 4, -1, 0], [0, 0, 1, 0]]), "season[0][2] is -1"),
        (at("season", value=None), "baseline.season does not say of what"),
        (at("season", "buckets", value=0), "baseline.season.buckets is 0"),
        (at("season", "period", value="0s"), "baseline.season.period"),
        (at("season", "offset", value="CET"), 'baseline.season.offset is "CET"'),
        (at("features", 1, "singletons", value=11), "features[1] ('plan'): 11 singletons of 10 rows"),
        (at("score", "cells", 0, "wrong", value=9), "cell '0' has 9 wrong rows of 8"),
        (at("score", "cells", 0, "classes", value={"0": 8, "1": 1}), "cell '0' has 9 rows with a class of 8"),
        (at("score", "cells", 0, "classes", value={str(i): 0 for i in range(65)}), "at most 64 items"),
        (at("prediction", "cells", 0, "squaredError", value=-1.0), "squaredError is -1.0"),
        (at("score", "heldOut", value="yes"), 'baseline.score.heldOut is "yes"'),
        (at("bootstrapped", "until", value="2025-01-01T00:00:00Z"), "baseline.bootstrapped is from 2026-01-01"),
        (at("bootstrapped", "until", value="soon"), 'baseline.bootstrapped.until is "soon"'),
    ],
)
def test_what_is_off_beside_counts_is_refused_with_a_sentence(
    change: Callable[[dict[str, Any]], None], sentence: str
) -> None:
    document = in_full()
    change(document)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        parse_baseline(document, digest="d")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def refusal(raw: bytes) -> str | None:
    try:
        read(raw)
    except ValueError as error:
        return str(error)
    return None


@given(st.data())
def test_a_document_with_anything_in_any_place_is_read_or_refused_with_a_sentence(data: st.DataObject) -> None:
    document = in_full()
    place: Any = document
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else list(range(len(place)))))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            place[key] = data.draw(VALUES)
            break
        place = inner
    refused = refusal(json.dumps(document).encode())
    assert refused is None or len(refused) < 2000


@pytest.mark.parametrize(
    "change",
    [
        at(*AGE, "name", value="a" * 4_000_000),
        at(*AGE, "cells", 1, "name", value="a" * 4_000_000),
        at(*AGE, "cells", value=[{"name": str(i), "count": 1, "upper": -i} for i in range(50_000)]),
        at("features", value=[{"name": "a", "kind": "Numeric", "cells": []}] * 50_000),
        at("score", "cells", 0, "classes", value={str(i): 1 for i in range(50_000)}),
        at(*AGE, "season", value=[[0] * 4] * 50_000),
    ],
    ids=["name", "cell's name", "edges", "features", "classes", "season"],
)
def test_a_document_as_large_as_can_be_is_refused_in_a_short_sentence(change: Callable[[dict[str, Any]], None]) -> None:
    document = in_full()
    change(document)
    with pytest.raises(ValueError) as caught:
        read(json.dumps(document).encode())
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("document", [None, [], "baseline", 3])
def test_what_is_no_object_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match=r"baseline is .*: Input should be a valid dictionary"):
        parse_baseline(document, digest="d")
