"""After a promotion: the predecessor stays warm, and takes over when the successor does worse."""

from support.world import World, a_model, a_spec


def promoted() -> World:
    models = {"a": a_model("a", "a"), "b": a_model("b", "b")}
    challengers = [{"name": "hotfix", "modelRef": {"name": "b"}, "weight": 20}]
    world = World(spec=a_spec(challengers=challengers), models=models).settle()
    world.answer("a", 4000, wrong=600)
    world.answer("b", 1000, wrong=20)
    return world.wait(1)


def test_the_predecessor_stays_warm_for_the_window() -> None:
    world = promoted()
    assert world.status["champion"]["name"] == "b"
    assert world.status["previousChampion"]["name"] == "a"
    assert ("Deployment", "churn-a") in world.objects
    world.wait(50)
    assert ("Deployment", "churn-a") in world.objects
    world.wait(30)
    assert ("Deployment", "churn-a") not in world.objects
    assert "previousChampion" not in world.status


def test_a_successor_that_answers_worse_is_rolled_back() -> None:
    world = promoted()
    world.answer("b", 500, wrong=300)
    world.wait(1)
    assert (world.actions[-1], world.last["reason"]) == ("Rollback", "WorseThanPredecessor")
    assert world.weights == {"a": 100}
    assert world.status["champion"]["name"] == "a"
    assert "b" in [r["name"] for r in world.status["rejected"]]


def test_a_successor_that_fails_requests_is_rolled_back() -> None:
    world = promoted()
    world.answer("b", 500, errors=100)
    assert world.wait(1).actions[-1] == "Rollback"


def test_a_successor_that_does_as_well_stays() -> None:
    world = promoted()
    world.answer("b", 2000, wrong=250)
    assert world.wait(1).weights == {"b": 100}


def test_nothing_is_rolled_back_after_the_window() -> None:
    world = promoted().wait(61)
    world.answer("b", 500, wrong=400)
    assert world.wait(1).weights == {"b": 100}


def test_nothing_is_rolled_back_to_a_predecessor_without_pods() -> None:
    world = promoted()
    world.broken = {"a"}
    world.answer("b", 500, wrong=400)
    assert world.wait(1).weights == {"b": 100}


def test_a_predecessor_stands_in_while_the_champion_has_no_pods() -> None:
    world = promoted()
    world.broken = {"b"}
    world.settle()
    assert world.weights == {"a": 100}
    assert world.route is not None
    assert world.route.decision == 0


def test_without_yardstick_nothing_is_rolled_back() -> None:
    world = World(spec=a_spec(), models={"a": a_model("a", "a"), "b": a_model("b", "b")}).settle()
    world.edit(championRef={"name": "b"}).settle()
    world.answer("b", 500, wrong=500)
    assert world.wait(1).weights == {"b": 100}
