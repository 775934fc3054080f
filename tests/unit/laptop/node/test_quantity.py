import pytest

from kingmaker_laptop.node.quantity import divide_quantity, parse_quantity


@pytest.mark.parametrize(
    ("text", "value"), [("2", 2), ("500m", 0.5), ("1Ki", 1024), ("1.5Gi", 1.5 * 1024**3), ("2k", 2000), ("1e3", 1000)]
)
def test_reads_quantities(text: str, value: float) -> None:
    assert float(parse_quantity(text)) == value


def test_rounds_up() -> None:
    assert divide_quantity("100m", "1") == "1"
    assert divide_quantity("1Gi", "1M") == "1074"


def test_says_what_it_expected() -> None:
    with pytest.raises(ValueError, match="1 apple"):
        parse_quantity("1 apple")
