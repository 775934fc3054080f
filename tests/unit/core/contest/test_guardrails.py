"""The table of guardrails: each entry complete, in order, and the only place that knows their names."""

from kingmaker.api import Guardrails, Reason, Verdict
from kingmaker.api.reasons import DECISION_REASONS
from kingmaker.core.contest.case import Case
from kingmaker.core.contest.checks import Check, VerdictPolicy
from kingmaker.core.contest.evidence import Arm, Shadow
from kingmaker.core.contest.guardrails import GUARDRAILS, OnFail
from kingmaker.core.contest.judgement import GuardrailCheck, Judgement
from kingmaker.core.contest.shares import NO_SHARES, ShareCheck, Shares
from kingmaker.core.contest.stretches import Stretch
from kingmaker.core.state import StageRun
from support.world import START

GOAL = Check("wrongAnswers", Verdict.PASS, 100, "better")
SHADOW = StageRun("shadow", 1, START, 0, 100, 100)
LIVE = StageRun("canary", 2, START, 5, 95)


def named(name: str, verdict: Verdict) -> GuardrailCheck:
    guardrail = next(g for g in GUARDRAILS if g.name == name)
    return GuardrailCheck(guardrail, Check(name, verdict, 1, ""))


def judged(*found: GuardrailCheck, shares: Shares = NO_SHARES) -> Judgement:
    return Judgement(GOAL, found, shares, 0, ())


def test_the_order_is_that_of_the_reasons_that_people_read() -> None:
    assert [g.name for g in GUARDRAILS] == [
        "moreWrongAnswers",
        "classes",
        "errors",
        "latency",
        "queries",
        "disagreement",
    ]
    assert {g.reason for g in GUARDRAILS} <= set(DECISION_REASONS)
    assert [g.name for g in GUARDRAILS if g.on_fail is OnFail.PAUSE] == ["disagreement"]


def test_every_option_of_the_spec_has_an_entry_of_its_name() -> None:
    assert set(Guardrails.model_fields) <= {g.name for g in GUARDRAILS}


def test_a_guardrail_that_is_off_makes_no_check() -> None:
    case = Case([Stretch(run, Arm(), Arm(), Shadow()) for run in (SHADOW, LIVE)])
    policy = VerdictPolicy(guardrails=Guardrails())
    off = [g for g in GUARDRAILS if g.name in Guardrails.model_fields]
    assert [g.look(case, policy) for g in off] == [()] * len(off)


def test_the_first_failure_of_its_kind_is_the_reason() -> None:
    failed = judged(named("errors", Verdict.FAIL), named("latency", Verdict.FAIL), named("disagreement", Verdict.FAIL))
    harm, doubt = failed.failed(OnFail.ABORT), failed.failed(OnFail.PAUSE)
    assert harm is not None
    assert doubt is not None
    assert (harm.guardrail.name, doubt.guardrail.name) == ("errors", "disagreement")
    assert failed.verdict is Verdict.FAIL


def test_what_is_needed_must_pass_and_not_only_not_fail() -> None:
    assert [g.name for g in GUARDRAILS if g.needed] == ["classes"]
    assert judged(named("errors", Verdict.INCONCLUSIVE)).verdict is Verdict.PASS
    assert judged(named("classes", Verdict.PASS)).verdict is Verdict.PASS
    unproven = judged(named("classes", Verdict.INCONCLUSIVE))
    assert (unproven.verdict, unproven.obstacle) == (Verdict.INCONCLUSIVE, Reason.THIN_EVIDENCE)


def test_a_broken_share_keeps_the_goal_from_being_proven() -> None:
    broken = ShareCheck(Check("anything", Verdict.INCONCLUSIVE, 10, "", log_e=7.0))
    assert judged().verdict is Verdict.PASS
    assert judged(shares=Shares((broken,))).verdict is Verdict.INCONCLUSIVE
