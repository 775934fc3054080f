"""What holds for the contests of one deployment in one state: worked out once, and handed to whoever needs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from kingmaker.api import OnNewChallenger, Reason
from kingmaker.core.contest.candidates import Candidate, find_candidates
from kingmaker.core.contest.capacity import is_available, needed_pods
from kingmaker.core.contest.checks import VerdictPolicy
from kingmaker.core.contest.choice import choose
from kingmaker.core.contest.creep import crept
from kingmaker.core.contest.evidence import Totals
from kingmaker.core.contest.forecast import Forecast, forecast
from kingmaker.core.contest.judgement import Judgement, judge
from kingmaker.core.contest.policy import contest_policy, fixed_shares, verdict_policy
from kingmaker.core.contest.queries import asked
from kingmaker.core.contest.steps import ContestPolicy, Hold, Step, next_step
from kingmaker.core.contest.subjects import Subject, predicted_shares, subject_of
from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.observed import Observed
from kingmaker.core.state import Contest, Share, State

_GOES_ON: Final = (Reason.STAGE_RUNNING, Reason.THIN_EVIDENCE, Reason.CLASS_UNPROVEN)
"""Why a contest waits that goes on by itself: how long, can be foreseen."""


@dataclass(frozen=True, slots=True)
class JudgedContest:
    """A contest, what the counts say of it, how it goes on, and how long that takes, where it can be foreseen."""

    contest: Contest
    judgement: Judgement
    step: Step
    forecast: Forecast | None = None


@dataclass(frozen=True, slots=True)
class ContestAssessment:
    """The rules, who competes, who waits, and who could take requests.

    `fixed` are the splits that the spec gives by hand, by model. `candidates` wait for a contest, the next first;
    `entrants` are those of them whose pods have to be warm. `wanted` is the model that a person newly put in the seat,
    None when they changed nothing. `available` are the models of which enough pods answer for their next step. `reign`
    is how the champion compares with whom it dethroned, while that one answers beside it.
    """

    observed: Observed
    state: State
    totals: Totals
    policy: ContestPolicy
    verdict_policy: VerdictPolicy
    fixed: Mapping[str, Share]
    candidates: tuple[Candidate, ...]
    entrants: tuple[str, ...]
    judged: tuple[JudgedContest, ...]
    wanted: str | None
    available: frozenset[str]
    reign: Judgement | None = None

    @property
    def shown(self) -> JudgedContest | None:
        """The contest that status speaks of: the staged one, else the first with a fixed split."""
        staged = next((j for j in self.judged if not j.contest.fixed), None)
        return staged or next(iter(self.judged), None)

    def needed_pods(self, model: str) -> int:
        """How many pods of a model must be ready before it takes its next step."""
        return needed_pods(self.observed, self.state, self.policy, model)


def assess_contests(observed: Observed, state: State, totals: Totals) -> ContestAssessment:
    """Assess the contests of one state.

    Args:
        observed: The snapshot.
        state: What is decided: that of the newest record, or the one that follows from a new decision.
        totals: Counts per model digest.
    """
    policy, verdicts = contest_policy(observed.mdep), verdict_policy(observed.mdep)
    champion = state.champion.digest if state.champion else ""
    judged = []
    for contest in state.contests:
        rules = contest_rules(observed, state, contest, verdicts)
        judgement = judge(contest, champion, totals, rules, asked(observed.mdep, state, contest, observed.answers))
        step, ahead = next_step(contest, judgement, policy, observed.now), None
        if isinstance(step, Hold) and step.reason in _GOES_ON:
            ahead = forecast(contest, judgement, rules, policy, observed.now)
        judged.append(JudgedContest(contest, judgement, step, ahead))
    candidates = find_candidates(observed, state)
    target = observed.mdep.spec.champion_ref.name
    return ContestAssessment(
        observed=observed,
        state=state,
        totals=totals,
        policy=policy,
        verdict_policy=verdicts,
        fixed=fixed_shares(observed.mdep),
        candidates=candidates,
        entrants=tuple(_entrants(observed, state, candidates)),
        judged=tuple(judged),
        wanted=target if target != state.observed_champion_ref else None,
        available=frozenset(m for m in observed.variants if is_available(observed, state, policy, m)),
        reign=_judge_reign(observed, state, totals, verdicts),
    )


def _judge_reign(observed: Observed, state: State, totals: Totals, policy: VerdictPolicy) -> Judgement | None:
    """Judge the champion as if it challenged whom it dethroned; None where that one does not answer beside it."""
    champion, previous = state.champion, state.previous
    if champion is None or previous is None or not previous.runs or not previous.until:
        return None
    if observed.now >= previous.until:
        return None
    reign = Contest("", champion.name, champion.digest, champion.since, previous.runs, fixed=True)
    before = replace(state, champion=previous)
    return judge(reign, previous.digest, totals, contest_rules(observed, before, reign, policy))


def contest_rules(observed: Observed, state: State, contest: Contest, policy: VerdictPolicy) -> VerdictPolicy:
    """Make the rules for the models of one contest.

    Args:
        observed: The snapshot.
        state: Who holds the seat.
        contest: Who contests it.
        policy: The deployment's rules.
    """
    held = state.champion
    champion = _subject(observed, held.name) if held else Subject()
    measure = choose(observed.mdep.spec.contest.verdict, champion, _subject(observed, contest.model))
    baseline = _baseline(observed, held.name) if held else None
    return replace(
        policy,
        measure=measure,
        stages=1 if contest.fixed else policy.stages,
        creep=crept(state.successions, measure.name, observed.now),
        predicted=predicted_shares(observed.ledger.watch, held.digest, baseline) if held else (),
    )


def _subject(observed: Observed, name: str) -> Subject:
    return subject_of(observed.models.get(name), _baseline(observed, name))


def _baseline(observed: Observed, name: str) -> Baseline | None:
    model = observed.models.get(name)
    return observed.baselines.get(model.spec.baseline.digest) if model and model.spec.baseline else None


def _entrants(observed: Observed, state: State, candidates: Sequence[Candidate]) -> Iterator[str]:
    enrol = observed.mdep.spec.enrol
    replaces = enrol is not None and enrol.on_new_challenger is OnNewChallenger.REPLACE
    staged_seat_is_free = state.staged is None or replaces
    for candidate in candidates:
        if candidate.mismatch:
            continue
        if candidate.fixed:
            yield candidate.model
        elif staged_seat_is_free:
            staged_seat_is_free = False
            yield candidate.model
