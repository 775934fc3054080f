"""Names: plain where they fit, bounded and still apart where they don't."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kingmaker.core.manifests import names

LABELS = st.from_regex(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (names.variant_name("churn", "churn-2"), "churn-churn-2"),
        (names.shadow_name("churn"), "churn-shadow"),
        (names.decision_name("churn", 17), "churn-000017"),
        (names.retrain_job_name("churn", 3), "churn-retrain-3"),
        (names.produced_model_name("churn", 3), "churn-r3"),
    ],
)
def test_names_that_fit_are_plain_words(name: str, expected: str) -> None:
    assert name == expected


@given(LABELS, LABELS)
def test_any_two_parents_give_a_dns_label(deployment: str, model: str) -> None:
    name = names.variant_name(deployment, model)
    assert len(name) <= 63
    assert name[0].isalpha()
    assert name[-1].isalnum()
    assert name == names.variant_name(deployment, model)


def test_long_names_that_begin_alike_stay_apart() -> None:
    assert names.variant_name("d" * 50, "m" * 50 + "1") != names.variant_name("d" * 50, "m" * 50 + "2")


def test_a_cut_leaves_no_dash_before_the_suffix() -> None:
    assert names.hashed("a" * 51 + "-" * 12, "0123456789") == "a" * 51 + "-0123456789"


def test_a_model_made_anew_gets_another_verify_job() -> None:
    first = names.verify_job_name("churn-1", "uid-1", "sha256:1")
    assert first.startswith("churn-1-verify-")
    assert first != names.verify_job_name("churn-1", "uid-2", "sha256:1")
    assert first != names.verify_job_name("churn-1", "uid-1", "sha256:2")
