"""Whatever write is the last before a crash: the same end, the same number of creates, one record per decision."""

from functools import lru_cache

from hypothesis import given, settings
from hypothesis import strategies as st

from support.world import World, a_model, a_spec

CHALLENGERS = [{"name": "next", "modelRef": {"name": "b"}}]


def a_world() -> World:
    models = {"a": a_model("a", "a"), "b": a_model("b", "b")}
    return World(spec=a_spec(challengers=CHALLENGERS), models=models)


def play(world: World, crash_at: int | None, writes: int) -> World:
    """Play a whole contest; the pass number `crash_at` ends after `writes` of its writes."""
    passes = 0

    def settle() -> None:
        nonlocal passes
        for _ in range(40):
            crashed = passes == crash_at
            plan = world.step(writes if crashed else None)
            passes += 1
            if (
                not crashed
                and plan.record is None
                and not plan.actions
                and plan.status is None
                and not plan.store_ledger
            ):
                return

    def wait(seconds: float) -> None:
        from datetime import timedelta

        world.now += timedelta(seconds=seconds)
        settle()

    settle()
    world.shadow("a", "b", 200, champion_wrong=20, challenger_wrong=2)
    wait(11)
    world.answer("a", 1900, wrong=190)
    world.answer("b", 100, wrong=2)
    wait(11)
    world.answer("a", 300, wrong=30)
    world.answer("b", 300, wrong=6)
    wait(11)
    wait(100)
    wait(11)
    return world


@lru_cache
def undisturbed() -> World:
    return play(a_world(), None, 0)


def test_undisturbed_it_promotes_and_cleans_up() -> None:
    reference = undisturbed()
    assert reference.actions == ["Deploy", "StartStage", "StartStage", "StartStage", "Promote", "Retire"]
    assert ("Deployment", "churn-a") not in reference.objects


@settings(max_examples=60, deadline=None)
@given(crash_at=st.integers(0, 25), writes=st.integers(0, 14))
def test_a_crash_after_any_write_changes_nothing_in_the_end(crash_at, writes) -> None:
    reference = undisturbed()
    world = play(a_world(), crash_at, writes)
    assert world.actions == reference.actions
    assert world.weights == reference.weights
    assert world.creates == reference.creates
    assert world.deletes == reference.deletes
    assert world.objects.keys() == reference.objects.keys()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 300), st.integers(0, 300), st.integers(0, 20)),
        max_size=12,
    )
)
def test_weights_are_whole_and_sum_to_a_hundred_whatever_is_counted(counts) -> None:
    world = a_world().settle()
    for model, right, wrong, seconds in counts:
        world.answer(model, right + wrong, wrong=wrong)
        world.shadow("a", "b", right + wrong, challenger_wrong=wrong)
        world.wait(seconds)
        assert sum(world.weights.values()) == 100
        assert all(isinstance(w, int) and 0 <= w <= 100 for w in world.weights.values())


def test_nothing_is_removed_before_every_router_acknowledged() -> None:
    world = play(a_world(), None, 0)
    world.models["c"] = a_model("c", "c")
    world.frozen = True
    world.edit(championRef={"name": "c"}).wait(1000)
    assert ("Deployment", "churn-b") in world.objects
    world.frozen = False
    world.wait(1000)
    assert ("Deployment", "churn-b") not in world.objects
