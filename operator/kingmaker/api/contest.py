"""`spec.contest`: how a challenger is judged, and what follows from the judgement."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from kingmaker.api.common import ApiModel, map_of, rules, set_of
from kingmaker.api.text import Digest, Duration, Factor, Name, PositiveDuration, Probability, Share


class Promotion(StrEnum):
    """Who promotes a challenger that has won."""

    AUTOMATIC = "Automatic"
    """The operator, at once."""
    MANUAL = "Manual"
    """A person: lists its digest in `approval.approvedDigests`, or names it in `championRef`."""
    NEVER = "Never"
    """Nobody: it stays in the last stage, until `championRef` names it."""


class Goal(StrEnum):
    """What a challenger must show on labelled answers."""

    SUPERIOR = "Superior"
    """Fewer wrong answers than the champion."""
    NON_INFERIOR = "NonInferior"
    """Wrong answers at most `margin` more than the champion's."""


class OnDeadline(StrEnum):
    """What happens when a contest ends without a verdict."""

    KEEP_CHAMPION = "KeepChampion"
    """The challenger is out."""
    PAUSE = "Pause"
    """Traffic stays as it is until a person decides."""


class Stage(ApiModel):
    """One stage of a contest."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.weight) != has(self.shadowPercent)",
                (
                    "a stage has either weight (it answers that share of the requests) or shadowPercent "
                    "(it sees copies of that share, answers nobody): set exactly one of them"
                ),
            ),
        )
    )

    name: Name
    """Name of the stage."""
    weight: Annotated[int, Field(ge=1, le=99)] | None = None
    """Percent of requests that the challenger answers."""
    shadow_percent: Annotated[int, Field(ge=1, le=100)] | None = None
    """Percent of requests of which the challenger gets a copy; its answers go nowhere."""
    min_duration: Duration = Duration("10m")
    """The stage lasts at least this long."""
    min_requests: Annotated[int, Field(ge=1, le=1_000_000_000)] = 1000
    """The challenger must have answered at least this many requests, or compared pairs in a shadow stage."""


class Approval(ApiModel):
    """Approval of single artifacts, by a reviewed commit."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.required || size(self.approvedDigests) == 0",
                "approvedDigests has no effect while required is false: set required: true or remove the digests",
            ),
        )
    )

    required: bool = False
    """Promote a challenger only when its artifact's digest is listed."""
    approved_digests: tuple[Digest, ...] = Field(default=(), max_length=20, json_schema_extra=set_of())
    """Digests of artifacts that may be promoted."""


class ErrorsGuardrail(ApiModel):
    """Roll back when the challenger fails requests more often than the champion."""


class LatencyGuardrail(ApiModel):
    """Roll back when the challenger is slow more often than is tolerated."""

    tolerance: Factor = Factor("1.25")
    """How many times as often as the champion the challenger may be slow."""


class DisagreementGuardrail(ApiModel):
    """Pause when the challenger's answers differ from the champion's too often to go on without a person."""

    maximum_percent: Annotated[int, Field(ge=1, le=100)] = 20
    """Percent of compared answers that may differ."""


class Guardrails(ApiModel):
    """Checks that stop a contest early. Naming some of them switches the others off."""

    errors: ErrorsGuardrail | None = None
    """Roll back when the challenger fails requests more often than the champion."""
    latency: LatencyGuardrail | None = None
    """Roll back when the challenger is slow more often than is tolerated."""
    disagreement: DisagreementGuardrail | None = None
    """Pause when the challenger's answers differ from the champion's too often."""


ALL_GUARDRAILS = Guardrails(errors=ErrorsGuardrail(), latency=LatencyGuardrail(), disagreement=DisagreementGuardrail())


class VerdictRule(ApiModel):
    """What counts as winning and losing. The error budgets hold however often the evidence is looked at."""

    goal: Goal = Goal.NON_INFERIOR
    """Superior: fewer errors than the champion. NonInferior: not more than margin above the champion's error rate."""
    margin: Share = Share("0.10")
    """For NonInferior: how much higher, relative to the champion's, the error rate may be; "0.10" is ten percent."""
    false_promotion: Probability = Probability("0.05")
    """Probability of promoting a challenger that misses the goal."""
    false_rollback: Probability = Probability("0.01")
    """Probability, per guardrail, of stopping a challenger that harms nobody."""
    guardrails: Guardrails = ALL_GUARDRAILS
    """Checks that stop a contest early. Left out, all are on; given, those that are named are."""


DEFAULT_STAGES = (
    Stage(name=Name("shadow"), shadow_percent=100, min_duration=Duration("10m"), min_requests=1000),
    Stage(name=Name("canary"), weight=5, min_duration=Duration("10m"), min_requests=500),
    Stage(name=Name("half"), weight=50, min_duration=Duration("10m"), min_requests=1000),
)


class Contest(ApiModel):
    """How a challenger is judged, and what follows."""

    stages: tuple[Stage, ...] = Field(
        default=DEFAULT_STAGES,
        min_length=1,
        max_length=10,
        json_schema_extra=map_of("name")
        | rules(
            (
                "self.map(s, has(s.weight) ? s.weight : 0).isSorted()",
                "stages only ever give a challenger more: put shadow stages first, then weights that do not fall",
            ),
        ),
    )
    """Stages in their order. A challenger advances when it passes a stage and is out when it fails one."""
    promotion: Promotion = Promotion.AUTOMATIC
    """Who promotes a winner: Automatic (the operator), Manual (a person), Never (it stays in the last stage)."""
    approval: Approval = Approval()
    """Approval of single artifacts, by a reviewed commit."""
    verdict: VerdictRule = VerdictRule()
    """What counts as winning and losing."""
    deadline: PositiveDuration = PositiveDuration("14d")
    """A contest without a verdict ends after this time."""
    on_deadline: OnDeadline = OnDeadline.KEEP_CHAMPION
    """KeepChampion: the challenger is out. Pause: traffic stays as it is until a person decides."""
    rollback_window: Duration = Duration("1h")
    """After a promotion the old champion stays warm this long, to go back to it at once."""
