"""Guardrails that a Prometheus answers: what is asked about a contest, and what the answers say of it.

Answers come when they come; a pass takes those that are there. What is no number is no evidence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from kingmaker.api import ModelDeployment, QueryGuardrail, Verdict
from kingmaker.core.contest.checks import Check
from kingmaker.core.observed import Answer, Answers, Question
from kingmaker.core.state import Contest, State

_PLACE: Final = re.compile(r"\{\{([a-z]+)\}\}")


@dataclass(frozen=True, slots=True)
class Asked:
    """One query of a contest with its answers so far, the newest last."""

    guardrail: QueryGuardrail
    answers: tuple[Answer, ...]


def questions(mdep: ModelDeployment, state: State) -> Iterator[Question]:
    """Give what is to be asked about the contests that go on."""
    for contest in state.contests:
        for guardrail in mdep.spec.contest.verdict.guardrails.queries:
            yield _question(guardrail, mdep, state, contest)


def asked(mdep: ModelDeployment, state: State, contest: Contest, answers: Answers) -> tuple[Asked, ...]:
    """Give each query about a contest with what was answered.

    Args:
        mdep: Whose spec has the queries.
        state: Who holds the seat.
        contest: The contest.
        answers: To everything that was asked.
    """
    guardrails = mdep.spec.contest.verdict.guardrails.queries
    return tuple(Asked(g, answers.get(_question(g, mdep, state, contest), ())) for g in guardrails)


def _question(guardrail: QueryGuardrail, mdep: ModelDeployment, state: State, contest: Contest) -> Question:
    names = {
        "deployment": mdep.metadata.name,
        "namespace": mdep.metadata.namespace,
        "champion": state.champion.name if state.champion else "",
        "challenger": contest.model,
    }
    # Kubernetes lets none of these names hold a quote, and no query shall depend on that.
    query = _PLACE.sub(lambda place: _escape(names[place[1]]), guardrail.query)
    return Question(guardrail.source or "", query)


def _escape(name: str) -> str:
    return re.sub(r"[^-A-Za-z0-9._]", "", name)


def check_query(asked: Asked) -> Check:
    """Judge one query by its last answers.

    It fails when as many of them as are needed are numbers beyond the bound. One whose newest answer is no number, or
    that nobody answered yet, is inconclusive.
    """
    guardrail = asked.guardrail
    looks = asked.answers[-guardrail.of :]
    beyond = sum(_is_beyond(guardrail, answer) for answer in looks)
    name, n = f"query:{guardrail.name}", sum(answer.value is not None for answer in looks)
    bounds = [f"at least {guardrail.minimum}"] if guardrail.minimum is not None else []
    bounds += [f"at most {guardrail.maximum}"] if guardrail.maximum is not None else []
    newest = looks[-1] if looks else Answer(None, "nothing was answered yet")
    now = f"{newest.value:.4g}" if newest.value is not None else "no number"
    rule = f"{' and '.join(bounds)} (now {now}); beyond in {beyond} of {len(looks)} looks, {guardrail.needed} fail"
    if beyond >= guardrail.needed:
        return Check(name, Verdict.FAIL, n, rule)
    if newest.value is None:
        return Check(name, Verdict.INCONCLUSIVE, n, rule, note=newest.problem)
    return Check(name, Verdict.PASS, n, rule)


def _is_beyond(guardrail: QueryGuardrail, answer: Answer) -> bool:
    value, low, high = answer.value, guardrail.minimum, guardrail.maximum
    if value is None:
        return False
    return (high is not None and value > high.value) or (low is not None and value < low.value)
