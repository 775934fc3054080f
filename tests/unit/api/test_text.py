"""Strings refuse what they can't mean, and say what they can."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kingmaker.api.text import (
    UNITS,
    Digest,
    Duration,
    Factor,
    Name,
    Number,
    ObjectName,
    OutputUri,
    PositiveDuration,
    Probability,
    Share,
    Text,
    Uri,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("30s", 30), ("10m", 600), ("24h", 86_400), ("14d", 1_209_600), ("26w", 15_724_800), ("1h30m", 5400)],
)
def test_durations_add_their_parts(text: str, seconds: int) -> None:
    assert Duration(text).seconds == seconds
    assert Duration(text).timedelta == timedelta(seconds=seconds)


@given(st.integers(min_value=1, max_value=999), st.sampled_from(sorted(UNITS)))
def test_any_count_of_any_unit_is_a_duration(count: int, unit: str) -> None:
    assert Duration(f"{count}{unit}").seconds == count * UNITS[unit]


def test_the_longest_duration_can_be_added_to_any_date() -> None:
    assert Duration("9999d9999d9999d9999d").timedelta < timedelta(days=366 * 120)


@pytest.mark.parametrize(
    ("kind", "text", "sentence"),
    [
        (Duration, "10", "must be a duration such as 30s"),
        (Duration, "2 weeks", "must be a duration such as 30s"),
        (Duration, "-1h", "must be a duration such as 30s"),
        (Duration, "1.5h", "must be a duration such as 30s"),
        (Duration, "1h\n", "must be a duration such as 30s"),
        (PositiveDuration, "0s", "longer than 0s"),
        (Digest, "sha256:ABC", "64 lower-case hexadecimal digits"),
        (Digest, "sha256:" + "A" * 64, "64 lower-case hexadecimal digits"),
        (Digest, "sha256:" + "a" * 65, "at most 71 characters"),
        (Name, "Churn", "lower-case letters"),
        (Name, "-churn", "lower-case letters"),
        (Name, "churn.2", "lower-case letters"),
        (Name, "", "lower-case letters"),
        (Name, "a" * 64, "at most 63 characters"),
        (ObjectName, "a..b", "lower-case letters"),
        (Number, "many", "must be a decimal"),
        (Number, "nan", "must be a decimal"),
        (Share, "0", 'from "0.0001" to "1"'),
        (Share, "1.5", 'from "0.0001" to "1"'),
        (Share, "5%", 'from "0.0001" to "1"'),
        (Share, "-0.1", 'from "0.0001" to "1"'),
        (Probability, "0.6", 'from "0.0001" to "0.5"'),
        (Factor, "1", 'from "1.01" to "10"'),
        (Uri, "model.onnx", "absolute URI"),
        (Uri, "file://model.onnx", "absolute URI"),
        (Uri, "ftp://host/model.onnx", "s3://, gs://"),
        (Uri, "s3:///model.onnx", "absolute URI"),
        (Uri, "s3://bucket/my model.onnx", "without spaces"),
        (Uri, "https://user:secret@host/model.onnx", "holds a password"),
        (Uri, "file:///models/../etc/passwd", "'..' segments"),
        (Uri, "pvc://claim/run/%2e%2e/other/model.onnx", "'..' segments"),
        (Uri, "pvc://claim/run/.%2E/other/model.onnx", "'..' segments"),
        (Uri, "pvc://claim/run%2F..%2fother/model.onnx", "'..' segments"),
        (Uri, "file:///run/%2e.", "'..' segments"),
        (OutputUri, "pvc://claim/%2e%2e/other", "'..' segments"),
        (OutputUri, "https://host/out/", "can be written to"),
    ],
)
def test_what_can_not_be_meant_is_refused_with_a_sentence(kind: type[Text], text: str, sentence: str) -> None:
    with pytest.raises(ValueError) as refused:
        kind(text)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "file:///models/churn/1/model.onnx",
        "http://store:9000/model.onnx",
        "s3://models/churn/1/model.onnx",
        "gs://bucket/model.onnx",
        "az://container/model.onnx",
        "hf://team/churn@main/model.onnx",
        "https://store/model.onnx?versionId=3",
        "pvc://claim/..a/a%2e%2e/...%2e/100%25/model.onnx",
    ],
)
def test_every_scheme_is_accepted(text: str) -> None:
    assert Uri(text) == text


def test_a_password_is_not_repeated_beyond_the_value() -> None:
    with pytest.raises(ValueError, match="put credentials into a Secret"):
        Uri("https://user:secret@host/model.onnx")


def test_numbers_keep_their_exact_value() -> None:
    assert str(Number("0.10").decimal) == "0.10"
    assert Number("-1.5e-3").value == -0.0015


@pytest.mark.parametrize(
    ("uri", "claim"),
    [("pvc://models/churn/1.onnx", "models"), ("pvc://a.b-c/x", "a.b-c"), ("s3://models/x", None), ("file:///x", None)],
)
def test_a_uri_names_its_claim(uri: str, claim: str | None) -> None:
    assert Uri(uri).claim == claim
