"""Figures in words: the examples in the docstrings hold."""

import doctest

from kingmaker.core import wording


def test_the_examples_hold() -> None:
    result = doctest.testmod(wording)
    assert result.attempted >= 4
    assert result.failed == 0
