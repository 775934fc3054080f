"""Baseline documents that would count wrongly are refused."""

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kingmaker_serving.counts.baseline import read_baseline
from kingmaker_serving.errors import Reason, VerbError
from kingmaker_serving.models.loading import count_features
from kingmaker_serving.protocol.signature import Signature, TensorSpec

SIGNATURE = Signature(
    inputs=(TensorSpec("x", "FP32", (-1, 2)), TensorSpec("plan", "BYTES", (-1, 1)), TensorSpec("n", "INT8", (-1,))),
    outputs=(TensorSpec("label", "INT64", (-1,)), TensorSpec("deep", "FP32", (-1, 2, 2))),
)


def numeric(**fields: Any) -> dict[str, Any]:
    cells = [
        {"name": "below", "count": 0, "upper": 0.0, "rare": True},
        {"name": "0", "count": 5, "upper": 1.0},
        *({"name": name, "count": 0, "rare": True} for name in ("above", "missing", "infinite")),
    ]
    return {"name": "age", "input": "x", "column": 1, "kind": "Numeric", "cells": cells} | fields


def categorical(**fields: Any) -> dict[str, Any]:
    cells = [
        {"name": "c0", "value": "a", "count": 5},
        {"name": "unseen", "count": 0, "rare": True},
        {"name": "missing", "count": 0, "rare": True},
    ]
    return {"name": "plan", "input": "plan", "column": 0, "kind": "Categorical", "cells": cells} | fields


def document(*features: dict[str, Any], **fields: Any) -> bytes:
    return msgspec.json.encode(
        {"format": "kingmaker.dev/baseline/v1", "rows": 5, "features": features or [numeric(), categorical()]} | fields
    )


def with_cells(change: Any) -> dict[str, Any]:
    feature = copy.deepcopy(numeric())
    change(feature["cells"])
    return feature


def test_a_good_baseline_is_read_with_its_digest() -> None:
    read = read_baseline(document(), SIGNATURE)
    assert [feature.name for feature in read.document.features] == ["age", "plan"]
    assert read.digest.startswith("sha256:")


BAD = [
    ("no JSON", b"{", "can't be read"),
    ("another format", document(format="v2"), "has format 'v2'"),
    ("no rows", b'{"format": "kingmaker.dev/baseline/v1", "features": []}', "missing required field `rows`"),
    ("a name twice", document(numeric(), numeric()), "a feature named 'age' 2 times"),
    ("an empty name", document(numeric(name="")), "a feature named '' 1 times"),
    ("no such input", document(numeric(input="z")), "feature 'age' reads tensor 'z'"),
    ("no such column", document(numeric(column=2)), "reads column 2, but x FP32 [-1, 2] has 2"),
    ("a negative column", document(numeric(column=-1)), "reads column -1"),
    ("numeric text", document(numeric(input="plan", column=0)), "is Numeric, but plan BYTES"),
    ("another kind", document(numeric(kind="Ordinal")), "Invalid enum value"),
    ("no such output", document(prediction=categorical(output="z", input="")), "prediction reads tensor 'z'"),
    ("three dimensions", document(score=numeric(output="deep", input="")), "one or two dimensions"),
    ("cells without an end", document(with_cells(lambda c: c.pop())), "expected 'below', the cells in order"),
    ("edges that fall", document(with_cells(lambda c: c[1].update(upper=-1))), "not in ascending order"),
    ("a cell without edge", document(with_cells(lambda c: c[1].pop("upper"))), "needs a finite upper edge"),
    (
        "two cells of a name",
        document(with_cells(lambda c: c[1].update(name="below"))),
        "names must be unique",
    ),
    ("a negative count", document(with_cells(lambda c: c[1].update(count=-1))), "negative count"),
    ("lengths of numbers", document(numeric(measure="length")), "counts lengths of texts, but x FP32 [-1, 2] has none"),
    ("categories of lengths", document(categorical(measure="length")), "counts lengths, which are Numeric"),
    ("an unknown measure", document(numeric(measure="hash")), "can't be read"),
    ("a name too long", document(numeric(name="a" * 513)), "is longer than 512 characters"),
    ("a cell's name too long", document(with_cells(lambda c: c[1].update(name="a" * 513))), "at most 512 characters"),
    ("an edge that is no number", document().replace(b"1.0", b"NaN"), "can't be read"),
    ("an endless edge", document().replace(b"1.0", b"1e999"), "baseline"),
    ("depth", b"[" * 200_000, "can't be read"),
    ("depth in what is not known", document()[:-1] + b',"z":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "baseline"),
    (
        "classes that are no counts",
        document(numeric(cells=[{"name": "0", "count": 1, "classes": [1]}])),
        "can't be read",
    ),
    ("no unseen", document(categorical(cells=[{"name": "c0", "count": 1}])), "lacks the cells ['unseen', 'missing']"),
]


@pytest.mark.parametrize(("content", "words"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_baseline_is_told_where(content: bytes, words: str) -> None:
    with pytest.raises(VerbError) as caught:
        read_baseline(content, SIGNATURE)
    assert caught.value.reason is Reason.INVALID_BASELINE
    assert words in caught.value.message


def test_what_is_beside_counts_is_left_to_whoever_judges_them() -> None:
    beside = {"importance": 0.5, "dispersion": {"1h": 1.5}, "season": [[1, 2], "?"], "singletons": 3}
    read = read_baseline(
        document(numeric(**beside), season={"period": "24h", "buckets": 1}, bootstrapped={}), SIGNATURE
    )
    assert read.document.features[0].importance == 0.5
    assert count_features(read.document.features, SIGNATURE).counts.sum() == 0


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def refusal(content: bytes) -> VerbError | None:
    try:
        count_features(read_baseline(content, SIGNATURE).document.features, SIGNATURE)
    except VerbError as error:
        return error
    return None


@given(st.data())
def test_a_document_with_anything_in_any_place_is_read_or_refused_with_a_sentence(data: st.DataObject) -> None:
    changed = msgspec.json.decode(document(prediction=numeric(output="label", input="")))
    place: Any = changed
    while isinstance(place, dict | list) and place and data.draw(st.integers(0, 3)):
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
            place = place[key]
        else:
            place[key] = data.draw(VALUES)
            break
    refused = refusal(json.dumps(changed).encode())
    if refused is not None:
        assert refused.reason is Reason.INVALID_BASELINE
        assert refused.message.startswith("baseline ")
        assert len(refused.message) < 4096


def test_an_edge_that_its_tensor_can_not_hold_is_refused() -> None:
    feature = with_cells(lambda cells: cells[1].update(upper=1000)) | {"input": "n", "column": 0}
    read = read_baseline(document(feature), SIGNATURE)
    with pytest.raises(VerbError, match="its tensor can't hold"):
        count_features(read.document.features, SIGNATURE)
