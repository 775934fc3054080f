"""`ModelDeployment.status`: what the operator decided and sees.

Nothing here changes with every request or evaluation: such figures are metrics.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from kingmaker.api.common import ApiModel, Count, Generation, Message, Percent, Timestamp, Word, map_of, set_of
from kingmaker.api.conditions import Condition
from kingmaker.api.model import Role
from kingmaker.api.text import Digest, Name

ObjectNameText = Annotated[str, Field(min_length=1, max_length=253)]


class Verdict(StrEnum):
    """What the evidence says of a challenger."""

    PASS = "Pass"  # noqa: S105 - a verdict, not a password
    """The goal is proven, within `falsePromotion`."""
    FAIL = "Fail"
    """A guardrail shows harm, within `falseRollback`."""
    INCONCLUSIVE = "Inconclusive"
    """Neither is proven: everything stays where it is."""


class DriftState(StrEnum):
    """What the counts say of the champion's data."""

    UNKNOWN = "Unknown"
    """Too few rows, or no baseline."""
    NONE = "None"
    """Nothing differs by more than the warning level."""
    WARNING = "Warning"
    """Something differs by more than the warning level, nothing by more than the tolerance."""
    DRIFT = "Drift"
    """Something differs by more than the tolerance."""


class ChampionStatus(ApiModel):
    """Who holds the seat."""

    name: Name
    """Name of the Model."""
    digest: Digest
    """Digest of its artifact."""
    since: Timestamp
    """When it took the seat."""


class PreviousChampion(ApiModel):
    """Who held the seat before, kept warm for a rollback."""

    name: Name
    """Name of the Model."""
    digest: Digest
    """Digest of its artifact."""
    until: Timestamp
    """When it is scaled down."""


class VariantStatus(ApiModel):
    """One model that has pods."""

    name: Name
    """Name of the Model."""
    role: Role
    """Champion, Challenger or Previous."""
    challenger: Name | None = None
    """The declared challenger that it is, or `enrolled` when it entered by itself."""
    stage: Name | None = None
    """The stage of the contest that it is in."""
    weight: Percent = 0
    """Percent of requests that it answers."""
    shadow_percent: Percent = 0
    """Percent of requests of which it gets a copy."""
    replicas: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Pods that are wanted."""
    ready_replicas: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Pods that are ready."""


class ContestStatus(ApiModel):
    """The contest that is going on."""

    challenger: Name
    """Name of the challenging Model."""
    digest: Digest
    """Digest of its artifact."""
    stage: Name
    """The stage that it is in."""
    since: Timestamp
    """When that stage began."""
    started_at: Timestamp | None = None
    """When the contest began; the deadline counts from here."""
    verdict: Verdict = Verdict.INCONCLUSIVE
    """What the evidence says so far: Pass, Fail or Inconclusive."""
    message: Message = ""
    """The evidence in a sentence."""


class RejectedModel(ApiModel):
    """A Model that lost and does not enter again by itself."""

    name: Name
    """Name of the Model."""
    digest: Digest
    """Digest of its artifact."""
    reason: Word
    """Why, in one word."""


class DriftStatus(ApiModel):
    """How live data compares with the champion's baseline."""

    state: DriftState
    """Unknown (too few rows, or no baseline), None, Warning or Drift."""
    features: tuple[Annotated[str, Field(min_length=1, max_length=256)], ...] = Field(
        default=(), max_length=20, json_schema_extra=set_of()
    )
    """Features that differ, the strongest first, at most 20."""
    since: Timestamp | None = None
    """When this state began; not told while it is Unknown."""


class RetrainingStatus(ApiModel):
    """Where retraining stands."""

    job: ObjectNameText | None = None
    """The Job that runs."""
    run: Count = 0
    """Number of the last run."""
    next_allowed_at: Timestamp | None = None
    """No run begins before."""
    last_outcome: Word | None = None
    """How the last run ended, in one word."""
    lost_candidates: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Retrained Models that lost since one was promoted; each doubles the cooldown."""


class DecisionRef(ApiModel):
    """Refers to a Decision in the same namespace."""

    name: ObjectNameText
    """Name of the Decision."""


class ModelDeploymentStatus(ApiModel):
    """What the operator decided and sees."""

    observed_generation: Generation = -1
    """The generation of the spec that this status speaks of."""
    conditions: tuple[Condition, ...] = Field(default=(), max_length=16, json_schema_extra=map_of("type"))
    """Ready: the champion answers. Reconciling and Stalled: absent unless true."""
    url: Annotated[str, Field(max_length=1024)] | None = None
    """Where requests go."""
    champion: ChampionStatus | None = None
    """Who holds the seat."""
    previous_champion: PreviousChampion | None = None
    """Who held the seat before, kept warm for a rollback."""
    observed_champion_ref: Name | None = None
    """The spec.championRef that was followed last; another one is a person's new decision."""
    traffic: Annotated[str, Field(max_length=128)] | None = None
    """Percent of requests per model, the champion first, such as 95/5; copies for a shadow as in 100+100s."""
    variants: tuple[VariantStatus, ...] = Field(default=(), max_length=32, json_schema_extra=map_of("name"))
    """Models that have pods, and the traffic of each."""
    contest: ContestStatus | None = None
    """The contest that is going on."""
    queue: tuple[Name, ...] = Field(default=(), max_length=50, json_schema_extra=set_of())
    """Models that wait for their contest, the next first."""
    rejected: tuple[RejectedModel, ...] = Field(default=(), max_length=50, json_schema_extra=map_of("name", "digest"))
    """Models that lost, the latest last, at most 50."""
    drift: DriftStatus | None = None
    """How live data compares with the champion's baseline."""
    retraining: RetrainingStatus | None = None
    """Where retraining stands."""
    last_decision_ref: DecisionRef | None = None
    """The latest Decision."""
