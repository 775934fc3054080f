"""Queries of people: what is asked, and what the answers say."""

import pytest
from pydantic import ValidationError

from kingmaker.api import Guardrails, QueryGuardrail, Verdict
from kingmaker.core.contest.queries import Asked, check_query, questions
from kingmaker.core.observed import Answer, Question
from support.world import World, a_model, a_spec

REFUNDS = {"name": "refunds", "query": 'sum(rate(refunds{model="{{challenger}}"}[5m]))', "maximum": "2"}
ASKED = Question("", 'sum(rate(refunds{model="b"}[5m]))')


def a_canary(*queries: dict) -> World:
    stages = [{"name": "canary", "weight": 5, "minDuration": "1h", "minRequests": 50}]
    contest = {"stages": stages, "verdict": {"guardrails": {"queries": list(queries)}}}
    challengers = [{"name": "next", "modelRef": {"name": "b"}}]
    models = {name: a_model(name, name) for name in "ab"}
    return World(spec=a_spec(challengers=challengers, contest=contest), models=models).settle()


def test_names_are_filled_in() -> None:
    query = "{{deployment}} {{namespace}} {{champion}} {{challenger}} {x} {"
    world = a_canary({**REFUNDS, "query": query, "source": "other"})
    assert list(questions(world.deployment, world.state)) == [Question("other", "churn ns a b {x} {")]


@pytest.mark.parametrize("query", ["{{pod}}", "{{ champion }}", "up{{", "{{{champion}}", " ", "x" * 2001])
def test_a_query_with_unknown_places_is_refused(query: str) -> None:
    with pytest.raises(ValidationError):
        QueryGuardrail.model_validate({**REFUNDS, "query": query})


def test_a_query_that_is_beyond_its_bound_often_enough_rolls_back() -> None:
    world = a_canary(REFUNDS)
    assert list(questions(world.deployment, world.state)) == [ASKED]
    world.answers = {ASKED: (Answer(3.0), Answer(1.0), Answer(3.0), Answer(None, "no series"))}
    assert world.settle().weights == {"a": 95, "b": 5}
    world.answers = {ASKED: (*world.answers[ASKED], Answer(2.5))}
    world.settle()
    assert (world.actions[-1], world.last["reason"]) == ("Rollback", "QueryBeyondBound")
    evidence = next(e for e in world.last["evidence"] if e["name"] == "query:refunds")
    assert (evidence["verdict"], evidence["n"]) == ("Fail", 4)
    assert "at most 2 (now 2.5)" in world.last["message"]
    assert list(questions(world.deployment, world.state)) == []


@pytest.mark.parametrize(
    ("answers", "verdict", "reason"),
    [
        ((), Verdict.INCONCLUSIVE, "nothing was answered yet"),
        ((Answer(9.0), Answer(None, "HTTP status 500")), Verdict.INCONCLUSIVE, "HTTP status 500"),
        ((Answer(9.0), Answer(9.0), Answer(1.0)), Verdict.PASS, ""),
        ((Answer(9.0),) * 3, Verdict.FAIL, ""),
        # What is long past does not count.
        ((Answer(9.0),) * 3 + (Answer(1.0),) * 3, Verdict.PASS, ""),
    ],
)  # fmt: skip
def test_verdicts(answers: tuple[Answer, ...], verdict: Verdict, reason: str) -> None:
    check = check_query(Asked(QueryGuardrail.model_validate(REFUNDS), answers))
    assert (check.verdict, check.note) == (verdict, reason)


def test_a_minimum_is_a_bound_too() -> None:
    guardrail = QueryGuardrail.model_validate({"name": "n", "query": "q", "minimum": "-1", "needed": 1, "of": 1})
    found = [check_query(Asked(guardrail, (Answer(value),))).verdict for value in (-1.1, -1.0, 9e9)]
    assert found == [Verdict.FAIL, Verdict.PASS, Verdict.PASS]


def test_queries_alone_switch_no_other_guardrail_off() -> None:
    alone = Guardrails.model_validate({"queries": [REFUNDS]}).in_force
    assert alone.errors is not None
    assert alone.latency is not None
    assert alone.queries[0].name == "refunds"
    assert Guardrails.model_validate({"queries": [REFUNDS], "errors": {}}).in_force.latency is None
