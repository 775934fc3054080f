"""Measures that people choose: figures as they read them, evidence for what is right, and why one can't be made."""

import math
from datetime import timedelta

import pytest

from kingmaker.api import Confusion, Costs, Goal, Measure, Model, Reason, TaskType, Verdict, VerdictRule
from kingmaker.api.contest import PositiveMagnitude
from kingmaker.api.text import Magnitude
from kingmaker.core.contest.checks import VerdictPolicy
from kingmaker.core.contest.choice import choose
from kingmaker.core.contest.guardrails import OnFail
from kingmaker.core.contest.judgement import Judgement
from kingmaker.core.contest.losses import Balanced, Brier, Chances, Cost, Error, LogLoss, Missed
from kingmaker.core.contest.measures import MeanMeasure, NoMeasure
from kingmaker.core.contest.subjects import Subject, predicted_shares, subject_of
from kingmaker.core.counts.baseline import Baseline, Cell, Feature, Kind
from kingmaker.core.counts.cells import CellCounts
from kingmaker.core.counts.data_monitor import DataMonitor
from kingmaker.core.counts.labelled import ClassCell
from kingmaker.core.counts.windows import Windows, advance
from support.contests import CHALLENGER, CHAMPION, an_arm, judged, numbers, pair_numbers, pairs
from support.world import START, a_model

FRAUD = Subject(TaskType.CLASSIFICATION, "fraud", (("fraud", 0.01), ("no", 0.99)))
NUMBERS = Subject(TaskType.REGRESSION)


def a_policy(subject: Subject = FRAUD, *, goal: Goal = Goal.NON_INFERIOR, **rule: object) -> VerdictPolicy:
    return VerdictPolicy(goal=goal, measure=choose(VerdictRule(**rule), subject, subject))


def harmed(judgement: Judgement) -> str:
    found = judgement.failed(OnFail.ABORT)
    return found.guardrail.name if found else ""


CAREFUL = an_arm({("fraud", "fraud"): 90, ("fraud", "no"): 10, ("no", "no"): 9_600, ("no", "fraud"): 300})
CARELESS = an_arm({("fraud", "fraud"): 50, ("fraud", "no"): 50, ("no", "no"): 9_800, ("no", "fraud"): 100})


@pytest.mark.parametrize(
    ("measure", "careful", "careless"),
    [("Recall", 0.9, 0.5), ("Precision", 90 / 390, 50 / 150), ("BalancedError", 0.0651515, 0.25505)],
)
def test_figures_are_those_that_people_know(measure: str, careful: float, careless: float) -> None:
    found = judged((CAREFUL, CARELESS), policy=a_policy(measure=Measure(measure)))
    assert (found.goal.reference, found.goal.estimate) == (pytest.approx(careful), pytest.approx(careless, abs=1e-6))
    assert found.goal.name == measure[0].lower() + measure[1:]


def test_what_is_better_depends_on_what_counts() -> None:
    costs = Costs(false_negative=Magnitude("50"), false_positive=Magnitude("1"))
    for rule, winner in (
        ({"measure": Measure.ERROR_RATE}, "careless"),
        ({"measure": Measure.COST, "costs": costs}, "careful"),
        ({"measure": Measure.RECALL}, "careful"),
        ({"measure": Measure.BALANCED_ERROR}, "careful"),
    ):
        policy = a_policy(goal=Goal.SUPERIOR, **rule)
        mine, theirs = (CAREFUL, CARELESS) if winner == "careful" else (CARELESS, CAREFUL)
        assert judged((theirs, mine), policy=policy).goal.verdict is Verdict.PASS, rule
        assert judged((mine, theirs), policy=policy).goal.verdict is Verdict.INCONCLUSIVE, rule
        assert harmed(judged((mine, theirs), policy=policy)) == "moreWrongAnswers", rule


def test_precision_is_compared_though_the_arms_choose_how_often_they_say_so() -> None:
    sure = an_arm({("fraud", "fraud"): 400, ("no", "no"): 9_550, ("no", "fraud"): 50})
    unsure = an_arm({("fraud", "fraud"): 500, ("no", "no"): 9_000, ("no", "fraud"): 500})
    policy = a_policy(goal=Goal.SUPERIOR, measure=Measure.PRECISION)
    better, worse = judged((unsure, sure), policy=policy), judged((sure, unsure), policy=policy)
    assert better.goal.verdict is Verdict.PASS
    assert (better.goal.n, better.goal.estimate) == (450, pytest.approx(400 / 450))
    assert (worse.goal.verdict, harmed(worse)) == (Verdict.INCONCLUSIVE, "moreWrongAnswers")


def test_pairs_are_compared_by_class_too() -> None:
    shadow = pairs({("fraud", "no", "fraud"): 60, ("fraud", "fraud", "fraud"): 300, ("no", "no", "no"): 9_000})
    for measure in (Measure.RECALL, Measure.BALANCED_ERROR):
        assert judged(shadow, policy=a_policy(goal=Goal.SUPERIOR, measure=measure)).goal.verdict is Verdict.PASS
    alarms = pairs({("no", "fraud", "no"): 300, ("fraud", "fraud", "fraud"): 300, ("no", "no", "no"): 9_000})
    assert judged(alarms, policy=a_policy(goal=Goal.SUPERIOR, measure=Measure.PRECISION)).goal.verdict is Verdict.PASS


def test_a_bound_on_recall_is_a_least_one() -> None:
    measure = a_policy(measure=Measure.RECALL).measure
    perfect = an_arm({("fraud", "fraud"): 400, ("no", "no"): 9_600})
    for minimum, verdict in ((0.9, Verdict.PASS), (0.999, Verdict.INCONCLUSIVE)):
        found = judged((CAREFUL, perfect), policy=VerdictPolicy(measure=measure, reference=minimum))
        bound = next(c for c in found.checks if c.name == "reference")
        assert (bound.verdict, bound.estimate, bound.reference) == (verdict, 1.0, minimum)


def test_a_regression_is_told_apart_by_how_far_it_is_off() -> None:
    """5 % off by 1.1 tolerances, and 5 % off by a million."""
    near, far = numbers({"0": 9_500, "k1": 500}), numbers({"0": 9_500, "k40": 500})
    assert harmed(judged((near, far), policy=a_policy(NUMBERS))) == "", "equal within the tolerance"
    for measure in (Measure.ABSOLUTE_ERROR, Measure.SQUARED_ERROR):
        policy = a_policy(NUMBERS, goal=Goal.SUPERIOR, measure=measure, clip=PositiveMagnitude("100"))
        assert harmed(judged((near, far), policy=policy)) == "moreWrongAnswers"
        found = judged((far, near), policy=policy)
        assert (found.goal.verdict, found.verdict) == (Verdict.PASS, Verdict.PASS)
        assert found.goal.reference == pytest.approx(0.05 * (100 if measure is Measure.ABSOLUTE_ERROR else 10_000))
    shadow = pair_numbers({("k10", "k2"): 300, ("k2", "k2"): 3_000})
    policy = a_policy(NUMBERS, goal=Goal.SUPERIOR, measure=Measure.ABSOLUTE_ERROR, clip=PositiveMagnitude("100"))
    assert judged(shadow, policy=policy).verdict is Verdict.PASS


def test_calibration_is_told_from_cells_of_the_score() -> None:
    chances = Chances("yes", (0.1, 0.9, None))
    subject = Subject(TaskType.CLASSIFICATION, "yes", (), chances)
    sharp = [an_arm({("yes", "yes"): 900, ("no", "yes"): 100}, score="1"), an_arm({("no", "no"): 1_000}, score="0")]
    vague = [an_arm({("yes", "yes"): 900, ("no", "yes"): 100}, score="0"), an_arm({("no", "no"): 1_000}, score="1")]
    mine, theirs = sharp[0] + sharp[1], vague[0] + vague[1]
    for measure in (Measure.BRIER, Measure.LOG_LOSS):
        policy = a_policy(subject, goal=Goal.SUPERIOR, measure=measure)
        found = judged((theirs, mine), policy=policy)
        assert found.goal.verdict is Verdict.PASS
        assert judged((mine, theirs), policy=policy).goal.verdict is Verdict.INCONCLUSIVE
    brier = judged((theirs, mine), policy=a_policy(subject, measure=Measure.BRIER)).goal
    assert brier.estimate == pytest.approx((1_900 * 0.1**2 + 100 * 0.9**2) / 2_000)
    shadow = pairs({("yes", "yes", "yes"): 900})
    assert judged(shadow, policy=a_policy(subject, measure=Measure.BRIER)).goal.n == 0, "pairs have no scores"


@pytest.mark.parametrize(
    ("subject", "rule", "why"),
    [
        (Subject(TaskType.CLASSIFICATION), {"measure": Measure.RECALL}, "ofClass"),
        (NUMBERS, {"measure": Measure.RECALL}, "Classification"),
        (NUMBERS, {"measure": Measure.BALANCED_ERROR}, "Classification"),
        (Subject(TaskType.CLASSIFICATION), {"measure": Measure.BALANCED_ERROR}, "baseline"),
        (Subject(TaskType.CLASSIFICATION), {"measure": Measure.BRIER}, "baseline"),
        (FRAUD, {"measure": Measure.ABSOLUTE_ERROR, "clip": PositiveMagnitude("1")}, "Regression"),
        (NUMBERS, {"measure": Measure.ABSOLUTE_ERROR}, "clip"),
        (FRAUD, {"measure": Measure.COST}, "costs"),
        (
            Subject(TaskType.CLASSIFICATION),
            {"measure": Measure.COST, "costs": Costs(false_negative=Magnitude("1"), false_positive=Magnitude("1"))},
            "ofClass",
        ),
    ],
)
def test_what_can_not_be_measured_says_why_and_concludes_nothing(
    subject: Subject, rule: dict[str, object], why: str
) -> None:
    policy = a_policy(subject, **rule)
    assert isinstance(policy.measure, NoMeasure)
    found = judged((CAREFUL, CARELESS), policy=policy)
    assert why in found.goal.rule
    assert (found.goal.verdict, found.goal.obstacle) == (Verdict.INCONCLUSIVE, Reason.MEASURE_UNAVAILABLE)
    assert found.verdict is not Verdict.PASS


def test_every_measure_has_an_entry() -> None:
    for measure in Measure:
        made = choose(VerdictRule(measure=measure), Subject(), Subject())
        assert isinstance(made, MeanMeasure | NoMeasure) or made.name == "precision"


def test_single_confusions_go_before_the_other_costs() -> None:
    costs = Costs(
        false_negative=Magnitude("10"),
        false_positive=Magnitude("2"),
        confusions=(Confusion(true="b", predicted="c", cost=Magnitude("4")),),
    )
    measure = choose(VerdictRule(measure=Measure.COST, costs=costs, of_class="a"), Subject(), Subject())
    assert isinstance(measure, MeanMeasure)
    loss = measure.champion.loss  # type: ignore[attr-defined]
    assert isinstance(loss, Cost)
    expected = {("a", "a"): 0, ("a", "b"): 10, ("b", "a"): 2, ("b", "c"): 4, ("c", "b"): 10}
    for (true, predicted), cost in expected.items():
        assert loss(ClassCell("", predicted, true, wrong=true != predicted)) == (cost / 10, 1.0)


def test_losses_are_in_0_to_1_and_of_the_unit_that_they_are_about() -> None:
    assert Missed("a")(ClassCell("", "b", "b", wrong=False)) == (0.0, 0.0)
    assert Missed("a")(ClassCell("", "b", "a", wrong=True)) == (1.0, 1.0)
    balanced = Balanced((("a", 0.1), ("b", 0.9)))
    assert balanced(ClassCell("", "b", "a", wrong=True)) == (1.0, 1.0)
    assert balanced.highest * balanced(ClassCell("", "a", "b", wrong=True))[0] == pytest.approx(1 / (2 * 0.9))
    assert balanced(ClassCell("", "a", "new", wrong=True))[0] == 1.0
    chances = Chances("yes", (0.0, 1.0))
    for loss in (Brier(chances), LogLoss(chances)):
        assert loss(ClassCell("1", "yes", "yes", wrong=False)) == (pytest.approx(0.0), 1.0)
        assert loss(ClassCell("1", "yes", "no", wrong=True)) == (1.0, 1.0)
        assert loss(ClassCell("", "yes", "yes", wrong=False)) == (1.0, 1.0), "without a score nothing is known"
        assert loss(ClassCell("99", "yes", "yes", wrong=False)) == (1.0, 1.0)
    error = Error(100.0, 2)
    assert (error("0"), error("nan"), error("other"), error("k160")) == (0.0, 1.0, 1.0, 1.0)
    assert math.sqrt(error("k6")) * 100 == pytest.approx(8 / 2**0.25)


def a_baseline(values: list[object], uppers: list[float | None]) -> Baseline:
    rare = [Cell("missing", 0, rare=True), Cell("infinite", 0, rare=True)]
    scores = [Cell(str(i), 10, upper=upper) for i, upper in enumerate(uppers)]
    prediction = Feature(
        "p", Kind.CATEGORICAL, tuple(Cell(f"c{i}", 90 - 80 * i, value=v) for i, v in enumerate(values))
    )
    score = Feature("s", Kind.NUMERIC, (*scores, Cell("above", 0, rare=True), *rare))
    return Baseline("sha256:" + "0" * 64, 100, (), prediction, score)


def test_a_baseline_tells_the_classes_and_what_scores_stand_for() -> None:
    model = a_model("a", "a", task={"type": "Classification", "label": "l", "positive": "1"})
    subject = subject_of(model, a_baseline([0, 1], [0.2, 0.5, 0.8]))
    assert (subject.type, subject.positive) == (TaskType.CLASSIFICATION, "1")
    assert subject.classes == (("0", 0.9), ("1", 0.1))
    assert subject.chances == Chances("1", (0.1, 0.35, 0.65, 0.9, None, None))
    texts = subject_of(model, a_baseline(["yes", "no"], [0.2, 0.5]))
    assert texts.chances is not None
    assert texts.chances.of_class == "yes"
    assert subject_of(model, a_baseline(["a"], [0.5])).chances is None
    assert subject_of(None, None) == Subject()


def test_the_class_of_the_task_is_not_told_to_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    from kingmaker.core.manifests.model_files import model_arguments

    model: Model = a_model("a", "a", task={"type": "Classification", "label": "l", "positive": "1"})
    (task,) = [a for a in model_arguments(model, signature=False) if "label" in a]
    assert "positive" not in task


def test_windows_tell_what_the_champion_predicts_of_all_requests() -> None:
    baseline = a_baseline([0, 1], [0.5])
    rows = CellCounts.of([(970, 30), (1_000, 0, 0, 0)])
    hours = [timedelta(hours=1), timedelta(hours=24)]
    windows = Windows.for_baseline(None, model=CHAMPION, baseline=baseline, scales=hours, now=START)
    windows = advance(windows, now=START + timedelta(minutes=5), delta=rows, complete=True)
    watch = DataMonitor(windows=windows)
    assert predicted_shares(watch, CHAMPION, baseline) == (("0", 0.97), ("1", 0.03))
    assert predicted_shares(watch, CHALLENGER, baseline) == (), "they are another model's"
    assert predicted_shares(watch, CHAMPION, None) == ()
    assert predicted_shares(DataMonitor(), CHAMPION, baseline) == ()
