"""Differences of cumulative counters."""

from hypothesis import given
from hypothesis import strategies as st

from kingmaker.core.counts.counters import Counters, difference

values = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 1000))


def test_a_first_look_is_all_new() -> None:
    assert difference(None, Counters("1", {"a": 3, "b": 0})) == {"a": 3}


def test_a_second_look_counts_the_increase_alone() -> None:
    assert difference(Counters("1", {"a": 3}), Counters("1", {"a": 5, "b": 1})) == {"a": 2, "b": 1}


def test_another_start_is_a_restart_even_when_values_grew() -> None:
    assert difference(Counters("1", {"a": 3}), Counters("2", {"a": 5})) == {"a": 5}


def test_a_lower_value_is_a_restart_of_everything() -> None:
    assert difference(Counters("1", {"a": 3, "b": 1}), Counters("1", {"a": 2, "b": 4})) == {"a": 2, "b": 4}


def test_a_key_that_was_folded_away_is_no_restart() -> None:
    assert difference(Counters("1", {"old": 9, "b": 1}), Counters("1", {"b": 4})) == {"b": 3}


@given(values, st.lists(values, max_size=6))
def test_increments_add_up_to_what_was_counted(first: dict[str, int], steps: list[dict[str, int]]) -> None:
    seen, total = Counters("1", first), dict(first)
    summed = difference(None, seen)
    for step in steps:
        total = {key: total.get(key, 0) + step.get(key, 0) for key in total | step}
        summed = {
            key: summed.get(key, 0) + count
            for key, count in ((k, difference(seen, Counters("1", total)).get(k, 0)) for k in total | summed)
        }
        seen = Counters("1", total)
    assert {k: v for k, v in summed.items() if v} == {k: v for k, v in total.items() if v}
