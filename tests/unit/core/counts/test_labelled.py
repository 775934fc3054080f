"""Cells of labels: they add like counts, stay bounded, and survive their text."""

from operator import add

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from kingmaker.core.counts.labelled import (
    MOST_CELLS,
    ClassCell,
    LossCell,
    PairCell,
    PairClassCell,
    PairLossCell,
    combine_cells,
    error_upper,
)
from kingmaker.core.counts.process import Arm, DecisionCounts, Shadow

classes = st.builds(
    ClassCell, st.sampled_from(["", "0", "11"]), st.text(max_size=3), st.text(max_size=3), wrong=st.booleans()
)
errors = st.sampled_from(["0", "nan", "k-3", "k7"])
shares = st.sampled_from([0.0, 0.125, 1.0])
counts = st.integers(min_value=0, max_value=2**53)


def cells_of(cell: st.SearchStrategy) -> st.SearchStrategy:
    return st.dictionaries(cell, counts.filter(bool), max_size=5)


arms = st.builds(
    Arm, classes=cells_of(classes), losses=cells_of(st.builds(LossCell, st.sampled_from(["over", "none"]), errors))
)
shadows = st.builds(
    Shadow,
    agree=counts,
    judged=cells_of(st.builds(PairCell, shares, shares)),
    classes=cells_of(st.builds(PairClassCell, st.text(max_size=2), st.text(max_size=2), st.text(max_size=2))),
    losses=cells_of(st.builds(PairLossCell, errors, errors)),
)
decisions = st.builds(DecisionCounts, arms, st.dictionaries(st.sampled_from(["b", "c"]), shadows))


@given(decisions, decisions, decisions)
def test_adding_is_associative_and_commutative(a: DecisionCounts, b: DecisionCounts, c: DecisionCounts) -> None:
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a


@given(decisions, decisions)
def test_what_came_since_is_what_was_added(before: DecisionCounts, new: DecisionCounts) -> None:
    after = before + new
    grown = after.since(before)
    assert grown.arm == new.arm
    assert {name: shadow for name, shadow in grown.shadows.items() if shadow != Shadow()} == {
        name: shadow for name, shadow in new.shadows.items() if shadow != Shadow()
    }
    assert before + grown == after


@given(decisions)
def test_a_counter_that_falls_brings_nothing(seen: DecisionCounts) -> None:
    grown = DecisionCounts(shadows=dict.fromkeys(seen.shadows, Shadow())).since(seen)
    assert grown.arm == Arm()
    assert all(s == Shadow() for s in grown.shadows.values())


@given(decisions)
def test_cells_survive_their_text(decision: DecisionCounts) -> None:
    codec = TypeAdapter(DecisionCounts)
    text = codec.dump_json(decision, exclude_defaults=True)
    assert codec.validate_json(text) == decision
    assert codec.validate_json(codec.dump_json(decision)) == decision


def test_nothing_counted_takes_no_room() -> None:
    assert TypeAdapter(DecisionCounts).dump_json(DecisionCounts(Arm(3), {"b": Shadow(1)}), exclude_defaults=True) == (
        b'{"arm":{"answered":3},"shadows":{"b":{"agree":1}}}'
    )


def test_sums_stay_bounded_and_lose_nobody() -> None:
    def many(first: int) -> dict[ClassCell, int]:
        return {ClassCell("", f"{n}", "0", wrong=n % 2 == 0): 2 for n in range(first, first + 3000)}

    both = combine_cells(many(0), many(2500), add)
    assert len(both) <= MOST_CELLS
    assert sum(both.values()) == 12_000
    assert sum(n for cell, n in both.items() if cell.wrong) == 6_000, "what was wrong stays known"
    again = combine_cells(both, many(9000), add)
    assert len(again) <= MOST_CELLS
    assert sum(again.values()) == 18_000


@pytest.mark.parametrize("text", ['"AAAA"', "7", '"eJwDAAAAAAE="', '"é"', '[["", "a", "b", true]]'])
def test_what_are_no_cells_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        TypeAdapter(Arm).validate_json(f'{{"classes": {text}}}')


def test_cells_of_errors_have_an_upper_edge() -> None:
    assert [error_upper(cell) for cell in ("0", "k0", "k-2", "k3")] == [0.0, 1.0, 0.5, 2.0**1.5]
    assert (error_upper("nan"), error_upper("other")) == (None, None)
