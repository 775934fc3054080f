"""`spec.contest`: how a challenger is judged, and what follows from the judgement."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from kingmaker.api.common import ApiModel, ClassName, map_of, rules, set_of
from kingmaker.api.queries import QueryGuardrail
from kingmaker.api.text import (
    Digest,
    Duration,
    Factor,
    Magnitude,
    Name,
    PositiveDuration,
    PositiveMagnitude,
    Probability,
    Quantile,
    Share,
)


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
    """Better by the measure than the champion."""
    NON_INFERIOR = "NonInferior"
    """Worse than the champion by `margin` and `absoluteMargin` at most."""


class Measure(StrEnum):
    """What of labelled answers is compared."""

    ERROR_RATE = "ErrorRate"
    """The share of answers that are wrong."""
    COST = "Cost"
    """What wrong answers cost, by `costs`."""
    RECALL = "Recall"
    """The share of the requests of a class that are found; compared by those that are missed."""
    PRECISION = "Precision"
    """The share of the answers of a class that are right; compared by those that are wrong."""
    BALANCED_ERROR = "BalancedError"
    """The mean over the classes of the baseline of the share that is wrong: rare classes count as much as others."""
    LOG_LOSS = "LogLoss"
    """How improbable the model held what was true, from the cells of the score; for two classes, live stages only."""
    BRIER = "Brier"
    """The squared distance of the probability from what was true, from the cells of the score; likewise."""
    ABSOLUTE_ERROR = "AbsoluteError"
    """How far a Regression is off, at most `clip`."""
    SQUARED_ERROR = "SquaredError"
    """The square of how far a Regression is off, at most `clip`."""


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
    quantiles: tuple[Quantile, ...] = Field(
        default=(Quantile("0.5"), Quantile("0.9"), Quantile("0.95"), Quantile("0.99")),
        min_length=1,
        max_length=8,
        json_schema_extra=set_of(),
    )
    """Quantiles of the champion's latencies that are slow's limits; "0.99": what a hundredth of its requests exceed."""


class DisagreementGuardrail(ApiModel):
    """Pause when the challenger's answers differ from the champion's too often to go on without a person."""

    maximum_percent: Annotated[int, Field(ge=1, le=100)] = 20
    """Percent of compared answers that may differ."""


class ClassesGuardrail(ApiModel):
    """Roll back when more of one class is missed than the champion misses, by more than the margin."""

    margin: Share = Share("0.05")
    """How much larger the missed share of any class may be, in points: "0.05" allows 15 % where the champion misses
    10 %. Promotion needs it shown for every class that has labels, whether or not guardrails are named; "1" asks for
    nothing."""


class Guardrails(ApiModel):
    """Checks that stop a contest early. Naming some of them switches the others off."""

    errors: ErrorsGuardrail | None = None
    """Roll back when the challenger fails requests more often than the champion."""
    latency: LatencyGuardrail | None = None
    """Roll back when the challenger is slow more often than is tolerated."""
    disagreement: DisagreementGuardrail | None = None
    """Pause when the challenger's answers differ from the champion's too often."""
    classes: ClassesGuardrail | None = None
    """Roll back when more of one class is missed than the champion misses, by more than the margin."""
    queries: tuple[QueryGuardrail, ...] = Field(default=(), max_length=8, json_schema_extra=map_of("name"))
    """Roll back when what a Prometheus says of the challenger is beyond a bound. Alone they switch nothing off."""

    @property
    def in_force(self) -> "Guardrails":
        """Those that are on: where only queries are named, the others are, too."""
        named = self.errors or self.latency or self.disagreement or self.classes
        return self if named or not self.queries else ALL_GUARDRAILS.model_copy(update={"queries": self.queries})


ALL_GUARDRAILS = Guardrails(
    errors=ErrorsGuardrail(),
    latency=LatencyGuardrail(),
    disagreement=DisagreementGuardrail(),
    classes=ClassesGuardrail(),
)


class Confusion(ApiModel):
    """What it costs to take one class for another."""

    true: ClassName
    """The class that it was."""
    predicted: ClassName
    """The class that was predicted."""
    cost: Magnitude
    """What it costs."""


class Costs(ApiModel):
    """What wrong answers cost, in any unit. Right ones cost nothing."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.falseNegative) == has(self.falsePositive)",
                "falseNegative and falsePositive are said together: set both, or confusions alone",
            ),
            (
                "has(self.falseNegative) || size(self.confusions) > 0",
                "costs say nothing: set falseNegative and falsePositive, or confusions",
            ),
            (
                (
                    "(has(self.falseNegative) && double(self.falseNegative) > 0.0) || "
                    "(has(self.falsePositive) && double(self.falsePositive) > 0.0) || "
                    "self.confusions.exists(c, double(c.cost) > 0.0)"
                ),
                "every cost is 0: one has to be above",
            ),
        )
    )

    false_negative: Magnitude | None = None
    """Cost of missing the positive class."""
    false_positive: Magnitude | None = None
    """Cost of taking something else for the positive class."""
    confusions: tuple[Confusion, ...] = Field(default=(), max_length=64, json_schema_extra=map_of("true", "predicted"))
    """Costs of single confusions; they go before the other costs."""
    otherwise: Magnitude | None = None
    """Cost of any other wrong answer. Left out, it is the highest of the stated costs."""


class ReferenceBound(ApiModel):
    """A bound that holds beside the champion: who compares with the last one only may creep."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("has(self.maximum) != has(self.minimum)", "set one of maximum and minimum"),
        )
    )

    maximum: Magnitude | None = None
    """The measure must be shown to be below this."""
    minimum: Share | None = None
    """For Recall and Precision: the measure must be shown to be above this."""


class VerdictRule(ApiModel):
    """What counts as winning and losing. The error budgets hold however often the evidence is looked at."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.costs) == (self.measure == 'Cost')",
                "costs belong to measure Cost: set both, or neither",
            ),
            (
                "has(self.clip) == (self.measure in ['AbsoluteError', 'SquaredError'])",
                "clip, the largest error that counts, belongs to the measures AbsoluteError and SquaredError",
            ),
            (
                "!has(self.ofClass) || self.measure in ['Cost', 'Recall', 'Precision']",
                "ofClass is for the measures Cost, Recall and Precision: remove it",
            ),
            (
                ("!has(self.reference) || has(self.reference.minimum) == (self.measure in ['Recall', 'Precision'])"),
                "a reference is a minimum for Recall and Precision, a maximum for every other measure",
            ),
            (
                (
                    "!(self.measure in ['ErrorRate', 'Recall', 'Precision', 'BalancedError', 'Brier'])"
                    " || double(self.absoluteMargin) < 1.0"
                ),
                "absoluteMargin is below 1 for a measure that never exceeds 1",
            ),
        )
    )

    goal: Goal = Goal.NON_INFERIOR
    """Superior: better than the champion. NonInferior: worse by margin and absoluteMargin at most."""
    measure: Measure = Measure.ERROR_RATE
    """What is compared, per request: its mean over the rows, or of one row that is drawn."""
    of_class: ClassName | None = None
    """The class of Cost, Recall and Precision. Left out, it is the positive one of the Model's task."""
    costs: Costs | None = None
    """For Cost: what wrong answers cost."""
    clip: PositiveMagnitude | None = None
    """For AbsoluteError and SquaredError: the error, in the label's unit, beyond which nothing gets worse."""
    margin: Share = Share("0.10")
    """For NonInferior: how much more of what is lost (wrong, missed, cost, error), relative to the champion's, is still
    no worse; "0.10" is ten percent."""
    absolute_margin: Magnitude = Magnitude("0.0001")
    """For NonInferior: what is allowed in addition, in the measure's own unit; so contests between models that hardly
    err end, too."""
    reference: ReferenceBound | None = None
    """A bound of the measure that holds beside the champion."""
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
    rollback_weight: Annotated[int, Field(ge=0, le=50)] = 5
    """Percent of the requests that the old champion goes on answering meanwhile, so that both are compared at the same
    time: what got harder for both is not held against the new one. 0: nothing is compared, nothing is rolled back."""
