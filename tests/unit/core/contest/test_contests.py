"""Contests from the first stage to the verdict, as plans over values."""

from datetime import UTC, datetime

import pytest

from kingmaker.api import Action, Reason
from kingmaker.core.contest.record import Record, settle
from kingmaker.core.contest.steps import ContestPolicy
from kingmaker.core.state import Champion, Share, State
from support.contestworlds import a_contest, a_world, through_canary, through_shadow
from support.world import World, a_model, a_spec, digest

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_entities_are_drawn_anew_for_every_contest_and_stay_while_a_challenger_grows() -> None:
    world = a_contest(routing={"affinity": {"header": "x-user"}})
    assert world.route.affinity_header == "x-user"
    alone = world.route.draw
    through_shadow(world)
    assert (world.weights, world.route.draw) == ({"a": 95, "b": 5}, world.state.sequence)
    assert world.route.draw > alone
    canary = world.route.draw
    world.answer("a", 1900, wrong=190)
    world.answer("b", 100, wrong=2)
    world.wait(11)
    assert (world.weights, world.route.draw) == ({"a": 50, "b": 50}, canary)


def test_a_contest_begins_a_new_run_when_other_requests_belong_together() -> None:
    world = through_shadow(a_contest())
    decision, draw = world.route.decision, world.route.draw
    world.edit(routing={"affinity": {"header": "x-user"}}).settle()
    assert world.last["reason"] == "SplitChanged"
    assert (world.route.decision, world.route.draw) == (decision + 1, decision + 1)
    assert world.route.draw > draw
    assert [run.decision for run in world.state.contests[0].runs][-2:] == [decision, decision + 1]
    assert world.step().record is None


def test_a_champion_does_not_keep_the_entities_that_made_it_win() -> None:
    champion, challenger = Share("a", 50), Share("b", 50)
    state = State(7, traffic=(champion, challenger), draw=5, champion=Champion("b", digest("b"), NOW))
    record = Record(Action.PROMOTE, Reason.CONTEST_WON, "", state)
    after = settle(state, record, ContestPolicy(()), {}, NOW)
    assert (after.traffic, after.draw) == ((Share("b", 100),), 8)


def test_the_first_champion_serves_alone() -> None:
    world = a_world().settle()
    assert world.actions == ["Deploy"]
    assert world.weights == {"a": 100}
    assert world.condition("Ready")["status"] == "True"
    assert world.last["actor"] == "Human"


def test_an_idle_deployment_writes_nothing() -> None:
    world = a_world().settle()
    plan = world.step()
    assert (plan.record, plan.actions, plan.status, plan.store_ledger) == (None, (), None, False)


def test_a_champion_without_pods_gets_no_traffic() -> None:
    world = a_world()
    world.broken = {"a"}
    world.settle()
    assert world.actions == []
    assert world.route is None
    assert world.condition("Ready")["reason"] == "Progressing"


def test_a_missing_champion_is_a_reason_that_says_what_to_do() -> None:
    world = World(spec=a_spec("ghost"), models={}).settle()
    ready = world.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", "ChampionNotFound")
    assert "ghost" in ready["message"]
    assert "apply it" in ready["message"]
    assert world.condition("Stalled")["status"] == "True"


def test_a_better_challenger_goes_through_all_stages_and_is_promoted() -> None:
    world = a_contest()
    assert world.status["contest"]["stage"] == "shadow"
    assert world.weights == {"a": 100}
    assert through_shadow(world).status["contest"]["stage"] == "canary"
    assert world.weights == {"a": 95, "b": 5}
    assert through_canary(world).status["contest"]["stage"] == "half"
    assert world.weights == {"a": 50, "b": 50}
    world.answer("a", 300, wrong=30)
    world.answer("b", 300, wrong=6)
    world.wait(11)
    assert world.actions == ["Deploy", "StartStage", "StartStage", "StartStage", "Promote"]
    assert world.weights == {"b": 95, "a": 5}
    assert world.status["champion"]["name"] == "b"
    assert world.last["reason"] == "ContestWon"


def test_a_promotion_leaves_behind_how_much_the_loss_changed() -> None:
    world = a_contest()
    through_canary(through_shadow(world))
    world.answer("a", 300, wrong=30)
    world.answer("b", 300, wrong=6)
    world.wait(11)
    (left,) = world.state.successions
    assert (left.measure, round(left.ratio, 2)) == ("wrongAnswers", 0.2)
    world.edit(championRef={"name": "b"}).settle()
    assert world.state.successions == (left,), "that it stays is no new beginning"
    world.edit(championRef={"name": "a"}).settle()
    assert world.state.successions == (), "what people choose is the new beginning"


def test_thin_traffic_holds_the_stage() -> None:
    world = a_contest()
    world.shadow("a", "b", 99, champion_wrong=20)
    world.wait(1000)
    assert world.status["contest"]["stage"] == "shadow"
    assert world.condition("ContestInProgress")["reason"] == "ThinEvidence"


def test_the_minimum_duration_holds_the_stage() -> None:
    world = a_contest()
    world.shadow("a", "b", 5000, champion_wrong=500)
    world.wait(9)
    assert world.status["contest"]["stage"] == "shadow"
    assert world.wait(2).status["contest"]["stage"] == "canary"


def test_without_labels_nobody_is_promoted() -> None:
    world = a_contest()
    world.count("a", "shadow_pairs_total", 5000, challenger="b", result="agree")
    world.wait(11)
    world.count("a", "requests_total", 9500, outcome="ok")
    world.count("b", "requests_total", 500, outcome="ok")
    world.wait(11)
    world.count("a", "requests_total", 5000, outcome="ok")
    world.count("b", "requests_total", 5000, outcome="ok")
    world.wait(100)
    assert world.status["contest"]["stage"] == "half"
    assert world.condition("ContestInProgress")["reason"] == "NoLabels"


def test_more_wrong_answers_roll_the_canary_back() -> None:
    world = through_shadow(a_contest())
    world.answer("a", 1900, wrong=60)
    world.answer("b", 100, wrong=60)
    world.wait(1)
    assert world.actions[-1] == "Rollback"
    assert world.last["reason"] == "WorseThanChampion"
    assert world.weights == {"a": 100}
    assert world.status["rejected"][0]["name"] == "b"


def test_more_wrong_answers_in_shadow_are_a_rejection() -> None:
    world = a_contest()
    world.shadow("a", "b", 200, challenger_wrong=40)
    world.wait(1)
    assert world.actions[-1] == "Reject"


def test_a_rejected_artifact_does_not_come_back_by_itself() -> None:
    world = a_contest()
    world.shadow("a", "b", 200, challenger_wrong=40)
    world.wait(100)
    assert world.actions.count("StartStage") == 1
    assert world.wait(1000).actions[-1] == "Reject"


def test_server_errors_roll_the_canary_back() -> None:
    world = failing(a_long_canary(), errors=20)
    assert (world.actions[-1], world.last["reason"]) == ("Rollback", "ErrorsAboveChampion")


def a_long_canary() -> World:
    return a_contest(contest={"stages": [{"name": "canary", "weight": 5, "minDuration": "50m", "minRequests": 50}]})


def failing(world: World, *, errors: int, seconds: int = 120) -> World:
    """The canary fails part of its requests, again and again."""
    for _ in range(seconds // 20):
        if "b" in world.weights:
            world.answer("a", 1900)
            world.answer("b", 100, errors=errors)
            world.wait(20)
    return world


def test_one_incident_rolls_nobody_back() -> None:
    world = through_shadow(a_contest())
    world.answer("a", 19_000)
    world.answer("b", 1_000, errors=100)
    assert world.wait(9).weights == {"a": 95, "b": 5}


@pytest.mark.parametrize(("errors", "weights"), [(20, {"a": 50, "b": 50}), (500, {"a": 100})])
def test_who_fails_by_the_hundred_at_once_is_not_waited_for(errors: int, weights: dict[str, int]) -> None:
    world = a_world(challengers=[{"name": "half", "modelRef": {"name": "b"}, "weight": 50}]).settle()
    world.answer("a", 520)
    world.answer("b", 520, errors=errors)
    assert world.wait(1).weights == weights


def test_a_slow_challenger_is_rolled_back() -> None:
    world = a_long_canary()
    for _ in range(8):
        if "b" in world.weights:
            world.answer("a", 1900)
            world.answer("b", 100, le="1")
            world.wait(20)
    assert (world.actions[-1], world.last["reason"]) == ("Rollback", "LatencyAboveTolerance")


def test_failed_copies_reject_in_shadow() -> None:
    world = a_contest()
    world.answer("a", 1000)
    for _ in range(6):
        world.count("a", "shadow_failures_total", 4, challenger="b", side="challenger")
        world.answer("a", 100)
        world.wait(20)
    assert (world.actions[-1], world.last["reason"]) == ("Reject", "ErrorsAboveChampion")


def test_dropped_copies_are_no_evidence() -> None:
    world = a_contest()
    world.count("a", "shadow_failures_total", 1000, challenger="b", side="dropped")
    world.wait(1)
    assert world.actions[-1] == "StartStage"


def test_disagreement_pauses_for_a_person_and_goes_on_when_allowed() -> None:
    world = a_contest()
    world.count("a", "shadow_pairs_total", 150, challenger="b", result="disagree")
    world.count("a", "shadow_pairs_total", 50, challenger="b", result="agree")
    world.wait(1)
    assert (world.actions[-1], world.last["reason"]) == ("Pause", "DisagreementAboveMaximum")
    assert world.wait(100).actions[-1] == "Pause"
    contest = world.spec["contest"] | {"verdict": {"guardrails": {"disagreement": {"maximumPercent": 90}}}}
    world.edit(contest=contest).settle()
    assert "Resume" in world.actions


def test_a_split_that_does_not_arrive_is_inconclusive() -> None:
    world = through_shadow(a_contest())
    world.answer("a", 500, wrong=50)
    world.answer("b", 500, wrong=5)
    world.wait(100)
    assert world.status["contest"]["stage"] == "canary"
    assert world.condition("ContestInProgress")["reason"] == "SplitMismatch"


def test_the_deadline_keeps_the_champion() -> None:
    world = a_contest().wait(3601)
    assert (world.actions[-1], world.last["reason"]) == ("Reject", "DeadlineExceeded")


def test_the_deadline_pauses_when_asked_to() -> None:
    world = a_contest(contest={"onDeadline": "Pause"}).wait(3601)
    assert (world.actions[-1], world.last["reason"]) == ("Pause", "DeadlineExceeded")
    assert world.wait(10_000).actions[-1] == "Pause"


def won(**spec) -> World:
    world = through_canary(through_shadow(a_contest(**spec)))
    world.answer("a", 300, wrong=30)
    world.answer("b", 300, wrong=6)
    return world.wait(11)


@pytest.mark.parametrize(
    ("contest", "reason"),
    [
        ({"promotion": "Manual"}, "AwaitingPromotion"),
        ({"promotion": "Never"}, "PromotionNever"),
        ({"approval": {"required": True}}, "AwaitingApproval"),
    ],
    ids=["manual", "never", "approval"],
)
def test_a_winner_waits_where_people_decide(contest, reason) -> None:
    world = won(contest=contest)
    assert world.weights == {"a": 50, "b": 50}
    assert world.condition("ContestInProgress")["reason"] == reason
    assert world.condition("PromotionPending")["status"] == str(reason != "PromotionNever")
    assert world.wait(36_000).actions[-1] == "StartStage"


def test_an_approved_digest_is_promoted() -> None:
    world = won(contest={"approval": {"required": True}})
    approval = {"required": True, "approvedDigests": [digest("b")]}
    world.edit(contest=world.spec["contest"] | {"approval": approval}).settle()
    assert (world.actions[-1], world.weights) == ("Promote", {"b": 95, "a": 5})


def test_another_digest_approves_nothing() -> None:
    approval = {"required": True, "approvedDigests": [digest("c")]}
    assert won(contest={"approval": approval}).weights == {"a": 50, "b": 50}


def test_a_changed_champion_ref_wins_over_the_contest() -> None:
    world = through_shadow(a_contest())
    world.models["c"] = a_model("c", "c")
    world.edit(championRef={"name": "c"}).settle()
    promotion = next(r["spec"] for r in world.records if r["spec"]["action"] == "Promote")
    assert (promotion["actor"], promotion["to"]["name"]) == ("Human", "c")
    assert world.status["champion"]["name"] == "c"


def test_a_champion_ref_waits_for_pods_before_traffic_moves() -> None:
    world = a_world().settle()
    world.models["c"] = a_model("c", "c")
    world.broken = {"c"}
    world.edit(championRef={"name": "c"}).settle()
    assert world.weights == {"a": 100}
    world.broken = set()
    assert world.settle().weights == {"c": 100}


def test_naming_the_promoted_model_confirms_it() -> None:
    world = won()
    world.edit(championRef={"name": "b"}, challengers=[]).settle()
    assert world.last["reason"] == "ChampionConfirmed"
    world.edit(championRef={"name": "a"}).settle()
    assert world.weights == {"a": 100}
