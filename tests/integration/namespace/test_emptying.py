"""What a namespace shares goes when nobody is left who shares it, whatever happens meanwhile, and not before."""

import pytest

from support.fakenode import FakeNode

from .conftest import ROUTER, WORKLOAD, Home, Operating, a_deployment, a_model

pytestmark = pytest.mark.timeout(300)

SEVERAL = [a_deployment(f"a{number}") for number in range(1, 13)]


async def test_nothing_is_left_when_all_are_deleted_together(home: Home, operating: Operating, node: FakeNode) -> None:
    del node
    async with operating():
        for round_ in range(2):
            home.apply(a_model("m"), *SEVERAL)
            await home.ready(*(d["metadata"]["name"] for d in SEVERAL))
            assert home.shared() == ROUTER | WORKLOAD
            home.kubectl("delete", "mdep,mdl", "--all", "--wait=false")
            await home.has(set(), f"round {round_}, deleted")


async def test_while_models_are_left_what_their_jobs_need_stays(home: Home, operating: Operating) -> None:
    async with operating():
        home.apply(a_model("m"), *SEVERAL[:2])
        await home.has(ROUTER | WORKLOAD, "made")
        home.kubectl("delete", "mdep", "a1", "--wait=false")
        home.kubectl("wait", "--for=delete", "service/a1", "--timeout=50s")
        assert home.shared() == ROUTER | WORKLOAD
        home.kubectl("delete", "mdep", "a2", "--wait=false")
        await home.has(WORKLOAD, "the router goes with the last deployment")
        home.kubectl("delete", "mdl", "m", "--wait=false")
        await home.has(set(), "the rest goes with the last model")


async def test_models_alone_have_what_their_jobs_need(home: Home, operating: Operating) -> None:
    async with operating():
        home.apply(a_model("m"))
        await home.has(WORKLOAD, "made")
        home.kubectl("delete", "mdl", "m", "--wait=false")
        await home.has(set(), "deleted")


async def test_what_was_deleted_while_the_operator_was_down_leaves_nothing(home: Home, operating: Operating) -> None:
    async with operating():
        home.apply(a_model("m"), a_deployment("a"))
        await home.has(ROUTER | WORKLOAD, "made")
    home.kubectl("delete", "mdep,mdl", "--all")
    assert home.shared() == ROUTER | WORKLOAD
    async with operating():
        await home.has(set(), "found by a new operator")


async def test_one_that_is_made_again_at_once_keeps_or_gets_all_it_needs(home: Home, operating: Operating) -> None:
    async with operating():
        for _ in range(3):
            home.apply(a_model("m"), a_deployment("a"))
            await home.has(ROUTER | WORKLOAD, "made")
            home.kubectl("delete", "mdep,mdl", "--all", "--wait=false")
            home.apply(a_model("m"), a_deployment("a"))
            await home.has(ROUTER | WORKLOAD, "made again")
            home.kubectl("wait", "--for=create", "service/a", "--timeout=50s")
            home.kubectl("delete", "mdep,mdl", "--all", "--wait=false")
            await home.has(set(), "deleted")


async def test_a_namespace_goes_with_everything_in_it(home: Home, operating: Operating) -> None:
    doomed = Home(home.plane, f"{home.name}-doomed")
    doomed.plane.kubectl("create", "namespace", doomed.name)
    async with operating():
        doomed.apply(a_model("m"), *SEVERAL)
        await doomed.has(ROUTER | WORKLOAD, "made")
        doomed.plane.kubectl("delete", "namespace", doomed.name, "--timeout=55s")
