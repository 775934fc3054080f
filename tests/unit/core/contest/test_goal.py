"""What promotes: the stage in force alone, the unit that is routed, class by class, beside a bound."""

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from kingmaker.api import Costs, Goal, Guardrails, Measure, Reason, TaskType, Verdict, VerdictRule
from kingmaker.api.contest import ALL_GUARDRAILS, ClassesGuardrail
from kingmaker.api.text import Magnitude, Share
from kingmaker.core.contest.checks import VerdictPolicy
from kingmaker.core.contest.choice import choose
from kingmaker.core.contest.guardrails import OnFail
from kingmaker.core.contest.judgement import Judgement
from kingmaker.core.contest.subjects import Subject
from kingmaker.core.counts.process import Arm, Shadow
from support.contests import Traffic, an_arm, judged, pairs, shares

SUPERIOR = VerdictPolicy(goal=Goal.SUPERIOR)
BINARY = Subject(TaskType.CLASSIFICATION, "fraud")
COSTS = VerdictRule(measure=Measure.COST, costs=Costs(false_negative=Magnitude("50"), false_positive=Magnitude("1")))
COST = VerdictPolicy(measure=choose(COSTS, BINARY, BINARY))

MIX = {"fraud": 0.001, "no": 0.999}
CHAMPION = {"fraud": {"fraud": 0.8, "no": 0.2}, "no": {"no": 0.995, "fraud": 0.005}}
ALWAYS_NO = {"fraud": {"no": 1.0}, "no": {"no": 1.0}}
BETTER = {"fraud": {"fraud": 1.0}, "no": {"no": 0.99, "fraud": 0.01}}


def check(judgement: Judgement, name: str):
    return next(c for c in judgement.checks if c.name == name)


def test_who_ignores_a_class_is_never_no_worse() -> None:
    """Fraud at .1 %: the champion finds 80 of 100 at 500 false alarms, the challenger always says no."""
    champion = an_arm({("fraud", "fraud"): 80, ("fraud", "no"): 20, ("no", "fraud"): 500, ("no", "no"): 99_400})
    always_no = an_arm({("fraud", "no"): 100, ("no", "no"): 99_900})
    found = judged((champion, always_no))
    assert found.goal.verdict is Verdict.PASS, "by the error rate alone it wins"
    assert found.verdict is not Verdict.PASS
    harm = found.failed(OnFail.ABORT)
    assert harm is not None
    assert (harm.guardrail.name, harm.guardrail.reason) == ("classes", Reason.WORSE_FOR_A_CLASS)
    assert (harm.check.estimate, harm.check.reference) == (1.0, 0.2)
    assert "'fraud'" in harm.check.rule


def test_with_the_guardrail_off_the_class_must_still_be_shown() -> None:
    champion = an_arm({("fraud", "fraud"): 80, ("fraud", "no"): 20, ("no", "fraud"): 500, ("no", "no"): 99_400})
    always_no = an_arm({("fraud", "no"): 100, ("no", "no"): 99_900})
    found = judged((champion, always_no), policy=VerdictPolicy(guardrails=Guardrails()))
    assert found.failed(OnFail.ABORT) is None
    assert (found.verdict, found.obstacle) == (Verdict.INCONCLUSIVE, Reason.CLASS_UNPROVEN)
    nothing_asked = ALL_GUARDRAILS.model_copy(update={"classes": ClassesGuardrail(margin=Share("1"))})
    assert judged((champion, always_no), policy=VerdictPolicy(guardrails=nothing_asked)).verdict is Verdict.PASS


@pytest.mark.parametrize("rare", [1, 3, 20])
def test_a_class_of_few_labels_is_not_passed_over(rare: int) -> None:
    champion = an_arm({("fraud", "fraud"): rare, ("no", "fraud"): 5_000, ("no", "no"): 95_000})
    always_no = an_arm({("fraud", "no"): rare, ("no", "no"): 100_000})
    found = judged((champion, always_no))
    assert found.goal.verdict is Verdict.PASS
    assert found.verdict is not Verdict.PASS


def test_a_class_whose_labels_stopped_before_the_last_stage_is_not_passed_over() -> None:
    shadow = pairs({("fraud", "fraud", "fraud"): 500, ("no", "no", "no"): 500})
    champion, better = an_arm({("no", "fraud"): 900, ("no", "no"): 9_000}), an_arm({("no", "no"): 9_900})
    found = judged(shadow, (champion, better))
    assert (found.verdict, found.obstacle) == (Verdict.INCONCLUSIVE, Reason.CLASS_UNPROVEN)


def test_an_answer_with_a_new_kind_of_mistake_fails_for_the_class() -> None:
    """A third class, which all of a sudden is taken for the first: overall errors fall."""
    champion = an_arm({("a", "a"): 4_000, ("a", "b"): 1_000, ("b", "b"): 4_500, ("c", "c"): 450, ("c", "b"): 50})
    swapped = an_arm({("a", "a"): 5_000, ("b", "b"): 4_500, ("c", "a"): 500})
    harm = judged((champion, swapped)).failed(OnFail.ABORT)
    assert harm is not None
    assert harm.check.rule.endswith("'c'")


def run(
    challenger: Mapping[str, Mapping[str, float]], policy: VerdictPolicy, seed: int, *, total: int = 500_000
) -> Verdict:
    """Look ten times at a contest at half the traffic."""
    traffic = Traffic(MIX, CHAMPION, challenger, seed=seed)
    for _ in range(10):
        verdict = judged(traffic.arrive(total // 10, 0.5), policy=policy).verdict
        if verdict is not Verdict.INCONCLUSIVE:
            return verdict
    return verdict


@pytest.mark.parametrize("policy", [VerdictPolicy(), SUPERIOR, COST], ids=["default", "superior", "cost"])
def test_always_no_is_promoted_by_no_measure(policy: VerdictPolicy) -> None:
    assert Verdict.PASS not in {run(ALWAYS_NO, policy, seed) for seed in range(10_000, 10_015)}


def test_the_better_one_is_promoted_under_cost() -> None:
    promoted = [run(BETTER, COST, seed) is Verdict.PASS for seed in range(10_100, 10_120)]
    assert sum(promoted) >= 17


def test_a_shadow_that_went_well_is_no_proof_of_a_live_stage_that_does_not() -> None:
    shadow = pairs({("0", "1", "0"): 200, ("0", "0", "1"): 120, ("0", "0", "0"): 9_680})
    champion = an_arm({("0", "1"): 100, ("0", "0"): 900})
    worse = an_arm({("0", "1"): 120, ("0", "0"): 880})
    assert judged(shadow, policy=SUPERIOR).goal.verdict is Verdict.PASS
    found = judged(shadow, (champion, worse), policy=SUPERIOR)
    assert found.goal.verdict is Verdict.INCONCLUSIVE
    assert found.goal.log_e is not None
    assert found.goal.log_e < 0
    assert found.goal.n == 1_000, "the live stage alone"


def test_harm_that_shows_live_is_found_as_soon_after_a_good_shadow() -> None:
    shadow = pairs({("0", "1", "0"): 400, ("0", "0", "0"): 9_600})
    arms = an_arm({("0", "1"): 100, ("0", "0"): 900}), an_arm({("0", "1"): 200, ("0", "0"): 800})
    alone, after = (judged(*stages, policy=VerdictPolicy(stages=2)) for stages in ((arms,), (shadow, arms)))
    assert check(after, "moreWrongAnswers").log_e == check(alone, "moreWrongAnswers").log_e
    assert after.failed(OnFail.ABORT) is not None


def test_every_stage_has_its_part_of_the_budget_for_harm() -> None:
    assert VerdictPolicy(stages=4).stage_harm_log_e == pytest.approx(math.log(400))
    arms = an_arm({("0", "1"): 10, ("0", "0"): 990}), an_arm({("0", "1"): 40, ("0", "0"): 960})
    found = judged(arms, policy=VerdictPolicy(stages=3))
    assert check(found, "moreWrongAnswers").threshold == pytest.approx(math.log(300))


def test_a_bulk_request_is_one_observation() -> None:
    """One request of 500 wrong rows beside 200 right ones: rows would be worth a rollback."""
    champion = Arm(200, 0, 200, 0, 200, judged=(200, 0, 0, 0, 0, 0, 0, 0, 0))
    bulk = Arm(201, 0, 200, 500, 700, judged=(200, 0, 0, 0, 0, 0, 0, 0, 1))
    found = judged((champion, bulk))
    assert found.failed(OnFail.ABORT) is None
    assert found.goal.n == 201


def test_shares_of_wrong_rows_count_and_not_only_whether_any_was() -> None:
    found = judged((shares(4_000, 0, 0, 0, 2_000), shares(4_000, 2_000)), policy=SUPERIOR)
    assert (found.goal.reference, found.goal.estimate) == (pytest.approx(1 / 6), pytest.approx(1 / 24))
    assert found.goal.verdict is Verdict.PASS


def test_servers_that_count_rows_alone_conclude_nothing() -> None:
    rows = Arm(answered=5_000, correct=4_000, wrong=1_000, rows=5_000), Arm(5_000, 0, 4_990, 10, 5_000)
    found = judged(rows)
    assert (found.verdict, found.obstacle) == (Verdict.INCONCLUSIVE, Reason.MEASURE_UNAVAILABLE)
    assert "rows alone" in found.goal.rule
    worse = judged((rows[1], rows[0]))
    assert worse.failed(OnFail.ABORT) is None, "nor harm"
    assert judged(Shadow(agree=900, disagree=100, champion_wrong=100, both_correct=900)).obstacle is (
        Reason.MEASURE_UNAVAILABLE
    )


def test_without_labels_the_reason_says_so() -> None:
    found = judged((Arm(answered=900, rows=900), Arm(answered=900, rows=900)))
    assert (found.verdict, found.obstacle) == (Verdict.INCONCLUSIVE, Reason.NO_LABELS)


def test_two_that_never_err_come_to_an_end() -> None:
    clean = an_arm({("0", "0"): 500_000, ("1", "1"): 500_000})
    assert judged((clean, clean)).verdict is Verdict.PASS
    assert judged((clean, clean), policy=VerdictPolicy(absolute_margin=0.0)).goal.verdict is Verdict.INCONCLUSIVE
    assert judged((clean, clean), policy=SUPERIOR).goal.verdict is Verdict.INCONCLUSIVE


def test_labels_that_come_for_one_arm_alone_speak_neither_for_nor_against() -> None:
    """Labels later than the champion's memory: none of its requests, 2,465 of the challenger's."""
    silent = Arm(answered=47_500, rows=47_500)
    late = an_arm({("0", "0"): 1_465, ("0", "1"): 1_000}, unlabelled=35)
    found = judged((silent, late), weights=(5,))
    assert found.share_is_broken
    assert found.failed(OnFail.ABORT) is None
    assert (found.verdict, found.obstacle) == (Verdict.INCONCLUSIVE, Reason.SPLIT_MISMATCH)


def test_a_bound_beside_the_champion_must_be_shown_too() -> None:
    champion = an_arm({("0", "1"): 1_000, ("0", "0"): 4_000})
    better = an_arm({("0", "1"): 150, ("0", "0"): 4_850})
    bounded = VerdictPolicy(reference=0.02)
    found = judged((champion, better), policy=bounded)
    assert found.goal.verdict is Verdict.PASS
    assert (found.verdict, found.obstacle) == (Verdict.INCONCLUSIVE, Reason.THIN_EVIDENCE)
    assert judged((champion, better), policy=VerdictPolicy(reference=0.05)).verdict is Verdict.PASS


def test_where_champions_crept_the_goal_is_nearer_to_the_best_of_them() -> None:
    arms = an_arm({("0", "1"): 10_000, ("0", "0"): 90_000}), an_arm({("0", "1"): 10_200, ("0", "0"): 89_800})
    assert judged(arms).verdict is Verdict.PASS
    crept = judged(arms, policy=VerdictPolicy(creep=1.1))
    assert crept.goal.verdict is Verdict.INCONCLUSIVE
    assert crept.failed(OnFail.ABORT) is None, "nor is it harm to be no better than the champion"


@pytest.mark.parametrize("predicted", [(("no", 0.994), ("fraud", 0.006))])
def test_labels_of_confirmed_cases_alone_prove_nothing(predicted: tuple[tuple[str, float], ...]) -> None:
    """Only confirmed frauds come back: the champion misses 100 of 500, and who always says fraud misses none."""
    champion = an_arm({("fraud", "fraud"): 400, ("fraud", "no"): 100}, unlabelled=99_500)
    always_yes = an_arm({("fraud", "fraud"): 500}, unlabelled=99_500)
    assert judged((champion, always_yes)).verdict is Verdict.PASS, "nobody knows that they are selected"
    found = judged((champion, always_yes), policy=VerdictPolicy(predicted=predicted))
    assert (found.verdict, found.obstacle) == (Verdict.INCONCLUSIVE, Reason.SELECTIVE_LABELS)
    fair = an_arm({("fraud", "fraud"): 40, ("fraud", "no"): 10, ("no", "no"): 9_930, ("no", "fraud"): 20})
    assert check(judged((fair, fair), policy=VerdictPolicy(predicted=predicted)), "labelMix").verdict is Verdict.PASS


def test_pairs_that_are_labelled_where_one_alarms_are_no_sample() -> None:
    """Labels for the champion's alarms alone: who always says no looks better than it is."""
    labelled = pairs({("fraud", "fraud", "no"): 80, ("no", "fraud", "no"): 500})
    shadow = replace(labelled, agree=99_420, disagree=580)
    found = judged(shadow, policy=SUPERIOR)
    assert (found.verdict, found.obstacle) == (Verdict.INCONCLUSIVE, Reason.SELECTIVE_LABELS)
    assert check(judged(pairs({("0", "1", "0"): 50, ("0", "0", "0"): 950})), "labelMix").verdict is Verdict.PASS


def test_failed_copies_are_requests_among_requests() -> None:
    """20 rows a request, 10 % of copies fail."""
    champion = Arm(answered=10_000, rows=200_000)
    copies = Shadow(agree=20 * 9_000, failures=1_000)
    found = judged(copies)
    assert found.observations == 20 * 9_000, "without rows of the champion a pair is a request"
    stretch = found.stretches[0]
    assert replace(stretch, champion=champion).compared_requests == 9_000
