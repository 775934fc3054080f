"""`Decision`: the append-only record of what was decided, on which evidence."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from kingmaker.api.common import ApiModel, Count, Message, Percent, Resource, Timestamp, Word, atomic, map_of, rules
from kingmaker.api.deploymentstatus import Verdict
from kingmaker.api.text import Digest, Name, Number

OUTCOME_MAX_LENGTH = 65_536
"""Longest `outcome`, in characters."""


class Action(StrEnum):
    """What was decided."""

    DEPLOY = "Deploy"
    """Serve a champion that a person named."""
    START_STAGE = "StartStage"
    """Begin a contest, or its next stage."""
    PROMOTE = "Promote"
    """Give the seat to the challenger."""
    ROLLBACK = "Rollback"
    """Give the seat, or the traffic, back."""
    REJECT = "Reject"
    """End a contest without promotion."""
    RETIRE = "Retire"
    """Take its last requests from the old champion: its rollback window is over."""
    RETRAIN = "Retrain"
    """Start a retraining Job."""
    SKIP_RETRAINING = "SkipRetraining"
    """Leave retraining although a trigger holds."""
    PAUSE = "Pause"
    """Leave traffic as it is until a person decides."""
    RESUME = "Resume"
    """Go on after a pause."""


class Actor(StrEnum):
    """Who decided."""

    OPERATOR = "Operator"
    """The operator, on evidence."""
    HUMAN = "Human"
    """A person, by a change of the spec or of a Model."""


class DecidedModel(ApiModel):
    """A Model and the artifact that it stood for."""

    name: Name
    """Name of the Model."""
    digest: Digest | None = None
    """Digest of its artifact, where it was known."""


class DecidedWeight(ApiModel):
    """The traffic of one model from this decision on."""

    model: Name
    """Name of the Model."""
    weight: Percent
    """Percent of requests that it answers."""
    shadow_percent: Percent = 0
    """Percent of requests of which it gets a copy."""


class Evidence(ApiModel):
    """One check that the decision rests on."""

    name: Word
    """What was checked."""
    n: Count
    """Observations: requests, rows or pairs."""
    estimate: Number | None = None
    """What the challenger showed, such as its rate of wrong answers."""
    reference: Number | None = None
    """What it was compared with: the champion's figure."""
    e_value: Number | None = None
    """Evidence against what was assumed; 20 is twenty to one."""
    threshold: Number | None = None
    """What the figure was compared with."""
    window: Annotated[str, Field(max_length=64)] | None = None
    """The time that was looked at."""
    verdict: Verdict | None = None
    """What this check says."""


class DecisionSpec(ApiModel):
    """What was decided, and why. Immutable."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("self == oldSelf", "a Decision is a record of what happened: it is never changed"),
        )
    )

    deployment: Name
    """Name of the ModelDeployment."""
    deployment_uid: Annotated[str, Field(min_length=1, max_length=64)]
    """Its UID: a new one of the same name starts a history of its own."""
    sequence: Annotated[int, Field(ge=1, le=999_999_999)]
    """Number within the deployment, rising by one; requests are stamped with it."""
    action: Action
    """What was decided."""
    from_: DecidedModel | None = None
    """Who had the seat or the traffic before."""
    to: DecidedModel | None = None
    """Who has it from now on, or whom this is about."""
    weights: tuple[DecidedWeight, ...] = Field(default=(), max_length=32, json_schema_extra=map_of("model"))
    """Traffic from this decision on."""
    reason: Annotated[str, Field(min_length=1, max_length=128, pattern="^[A-Za-z][A-Za-z0-9]*$")]
    """Why, in one word."""
    rule: Message = ""
    """The rule that was applied, with its thresholds."""
    message: Message = ""
    """Why, in a sentence."""
    evidence: tuple[Evidence, ...] = Field(default=(), max_length=64, json_schema_extra=atomic())
    """The checks that it rests on."""
    actor: Actor
    """Operator or Human."""
    at: Timestamp
    """When."""
    observed_generation: Count
    """The generation of the ModelDeployment's spec that it was taken under."""
    outcome: Annotated[str, Field(max_length=OUTCOME_MAX_LENGTH)] = ""
    """The whole state after this decision, as canonical JSON: what the operator restores its state from."""


class Decision(Resource):
    """The record of one decision: what changed, on which evidence, by whom. Created by the operator, never changed."""

    kind: str = "Decision"
    spec: DecisionSpec
    """What was decided, and why. Immutable."""
