"""The champion's seat: people's decisions about it, and the way back from a bad successor."""

from __future__ import annotations

from dataclasses import replace

from kingmaker.api import Action, Actor, Reason
from kingmaker.core.contest.assessment import ContestAssessment, JudgedContest, contest_rules
from kingmaker.core.contest.candidates import is_ready
from kingmaker.core.contest.checks import describe
from kingmaker.core.contest.creep import succeed
from kingmaker.core.contest.guardrails import OnFail
from kingmaker.core.contest.policy import rollback_window
from kingmaker.core.contest.record import Record, Side
from kingmaker.core.state import Champion, State


def follow_champion_ref(assessed: ContestAssessment) -> Record | None:
    """Carry out a changed `spec.championRef`: a person's decision, which wins over every contest.

    It waits until the model is verified and enough pods of it answer; until then the old champion serves.
    """
    observed, state, target = assessed.observed, assessed.state, assessed.wanted
    if target is None:
        return None
    model = observed.models.get(target)
    if model is None or not is_ready(model):
        return None
    digest = model.spec.artifact.digest
    old = state.champion
    to_side = Side(target, digest)
    if old and old.digest == digest:
        message = f"spec.championRef now names {target}, which holds the seat already"
        confirmed = replace(state, observed_champion_ref=target)
        return Record(Action.DEPLOY, Reason.CHAMPION_CONFIRMED, message, confirmed, to_side=to_side, actor=Actor.HUMAN)
    if target not in assessed.available:
        return None
    after = replace(
        state,
        champion=Champion(target, digest, observed.now, state.sequence + 1),
        observed_champion_ref=target,
        contests=(),
        judged=tuple(j for j in state.judged if j.digest != digest),
        successions=(),
    )
    if old is None:
        message = f"{target} is verified and its pods answer; it serves"
        return Record(Action.DEPLOY, Reason.FIRST_CHAMPION, message, after, to_side=to_side, actor=Actor.HUMAN)
    until = observed.now + rollback_window(observed.mdep)
    after = replace(after, previous=replace(old, until=until)).remember(old.name, old.digest, Reason.SUPERSEDED)
    message = f"spec.championRef was changed from {old.name} to {target}"
    sides = Side(old.name, old.digest)
    return Record(Action.PROMOTE, Reason.CHAMPION_CHANGED, message, after, "", sides, to_side, actor=Actor.HUMAN)


def promote(assessed: ContestAssessment, judged: JudgedContest) -> State:
    """Make the challenger the champion; the old champion stays warm, and goes on with a few requests to be compared.

    Args:
        assessed: The state in which the contest was won.
        judged: The contest, one of the assessed ones.
    """
    observed, state, contest = assessed.observed, assessed.state, judged.contest
    now = observed.now
    after = replace(state, champion=Champion(contest.model, contest.digest, now, state.sequence + 1), contests=())
    old = state.champion
    if old is None:
        return after
    until = now + rollback_window(observed.mdep)
    weight = observed.mdep.spec.contest.rollback_weight if until > now else 0
    previous = replace(old, until=until, weight=weight, runs=())
    rules = contest_rules(observed, state, contest, assessed.verdict_policy)
    successions = succeed(state.successions, judged.judgement, rules, now)
    after = replace(after, previous=previous, successions=successions)
    return after.remember(old.name, old.digest, Reason.SUPERSEDED)


def return_to_previous(assessed: ContestAssessment) -> Record | None:
    """Roll back to the warm predecessor when the new champion does worse at the same time.

    Both answer requests, so what moves with time moves for both. The new champion is judged by the guardrails of a
    contest in which it is the challenger.
    """
    observed, state, reign = assessed.observed, assessed.state, assessed.reign
    champion, previous = state.champion, state.previous
    if not champion or not previous or reign is None or previous.name not in assessed.available:
        return None
    failed = reign.failed(OnFail.ABORT)
    if failed is None:
        return None
    check = failed.check
    after = replace(
        state,
        champion=Champion(previous.name, previous.digest, observed.now, state.sequence + 1),
        previous=None,
        contests=(),
        successions=state.successions[:-1],
    ).remember(champion.name, champion.digest, Reason.WORSE_THAN_PREDECESSOR)
    after = replace(after, judged=tuple(j for j in after.judged if j.digest != previous.digest))
    return Record(
        Action.ROLLBACK,
        Reason.WORSE_THAN_PREDECESSOR,
        f"{champion.name} does worse than {previous.name} beside it: {describe(check)}",
        after,
        check.rule,
        Side(champion.name, champion.digest),
        Side(previous.name, previous.digest),
        reign.checks,
    )


def retire_previous(assessed: ContestAssessment) -> Record | None:
    """Take its last requests from a dethroned champion whose time is over: nothing spoke against its successor."""
    observed, state = assessed.observed, assessed.state
    champion, previous = state.champion, state.previous
    if not champion or not previous or not previous.weight or not previous.until or observed.now < previous.until:
        return None
    return Record(
        Action.RETIRE,
        Reason.ROLLBACK_WINDOW_OVER,
        f"{champion.name} keeps the seat: nothing showed that it does worse than {previous.name}",
        replace(state, previous=replace(previous, weight=0, runs=())),
        from_side=Side(previous.name, previous.digest),
        to_side=Side(champion.name, champion.digest),
        checks=assessed.reign.checks if assessed.reign else (),
    )
