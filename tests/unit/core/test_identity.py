"""What follows from an object is worked out once for it, and anew for its equal."""

from kingmaker.core.identity import by_identity


def test_a_function_is_asked_once_for_an_object_and_again_for_its_equal() -> None:
    asked: list[list[int]] = []

    @by_identity
    def total(numbers: list[int]) -> int:
        asked.append(numbers)
        return sum(numbers)

    one, equal = [1, 2], [1, 2]
    assert [total(one), total(one), total(equal)] == [3, 3, 3]
    assert len(asked) == 2


def test_the_place_of_an_object_that_is_gone_is_not_taken_for_it() -> None:
    @by_identity
    def first(numbers: list[int]) -> int:
        return numbers[0]

    # Each list is freed at once, so the next one would get its place in memory, were it not kept.
    assert [first([number]) for number in range(1000)] == list(range(1000))
