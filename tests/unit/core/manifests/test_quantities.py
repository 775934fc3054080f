"""Amounts in the API server's own form; the integration test asks the server itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kingmaker.core.manifests.quantities import add_quantities, canonical_quantity


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("0.5", "500m"),
        ("1000m", "1"),
        ("2", "2"),
        ("1000", "1k"),
        ("1500m", "1500m"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("100Ki", "100Ki"),
        ("0.5Ki", "512"),
        ("1e3", "1e3"),
        ("12E2", "1200"),
        ("0", "0"),
        ("0.1n", "1n"),
    ],
)
def test_one_amount_has_one_form(written: str, read: str) -> None:
    assert canonical_quantity(written) == read


@given(st.integers(1, 10**15), st.sampled_from(["n", "u", "m", "", "k", "M", "Ki", "Mi", "Gi", "e3"]))
def test_the_form_is_its_own(number: int, suffix: str) -> None:
    once = canonical_quantity(f"{number}{suffix}")
    assert canonical_quantity(once) == once


@pytest.mark.parametrize("text", ["", "1 Gi", "much", "1.2.3", "1Xi"])
def test_what_is_no_amount_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        canonical_quantity(text)


@pytest.mark.parametrize(
    ("parts", "total"),
    [
        (("1Gi", "1Gi", "10Gi"), "12Gi"),
        (("10Gi", "512Mi"), "10752Mi"),
        (("500m", "1"), "1500m"),
        (("1", "1Ki"), "1025"),
    ],
)
def test_amounts_are_added_in_the_form_of_the_first(parts: tuple[str, ...], total: str) -> None:
    assert add_quantities(*parts) == total
