"""`ModelDeployment`: a seat, who holds it, and how it is contested, watched and retrained."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from kingmaker.api.autoscaling import Autoscaling
from kingmaker.api.common import ApiModel, Image, ModelRef, Resource, map_of, rules
from kingmaker.api.contest import Contest
from kingmaker.api.deploymentstatus import ModelDeploymentStatus
from kingmaker.api.monitoring import Monitoring
from kingmaker.api.resources import Resources
from kingmaker.api.retraining import Retraining
from kingmaker.api.scheduling import Scheduling
from kingmaker.api.text import Name, Text, TextRule

ENROLLED = "enrolled"
"""Stands in status for the entry of a challenger that entered by itself; no declared challenger may have this name."""


class ChallengerName(Name):
    """Name of a declared challenger."""

    __slots__ = ()
    RULES = (
        *Name.RULES,
        TextRule(
            f"^{ENROLLED}$",
            f"'{ENROLLED}' stands for challengers that enter by themselves: choose another name",
            refuse=True,
        ),
    )


class Challenger(ApiModel):
    """A challenger that people declare."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.weight) || !has(self.shadowPercent)",
                (
                    "set weight (answers that share of the requests) or shadowPercent (sees copies, answers nobody), "
                    "not both; leave both out to follow the contest's stages"
                ),
            ),
        )
    )

    name: ChallengerName
    """Name of the entry."""
    model_ref: ModelRef
    """The Model that challenges."""
    weight: Annotated[int, Field(ge=1, le=90)] | None = None
    """Percent of requests that it answers, all the time. Without weight and shadowPercent it follows the stages."""
    shadow_percent: Annotated[int, Field(ge=1, le=100)] | None = None
    """Percent of requests of which it gets a copy, all the time; its answers go nowhere."""


class OnNewChallenger(StrEnum):
    """What happens to a new Model while another one is judged."""

    QUEUE = "Queue"
    """It waits for its turn."""
    REPLACE = "Replace"
    """It takes the place of the enrolled one that is judged."""
    REJECT = "Reject"
    """It stays out, for good."""


class Selector(ApiModel):
    """Chooses Models by their labels."""

    match_labels: Mapping[str, Annotated[str, Field(max_length=63)]] = Field(
        min_length=1,
        max_length=16,
        json_schema_extra=rules(
            ("self.all(k, k.size() > 0 && k.size() <= 317)", "label keys have 1 to 317 characters"),
        ),
    )
    """Labels that a Model must have, all of them. At least one."""


class Enrol(ApiModel):
    """Lets verified Models of the champion's family enter as challengers by themselves."""

    selector: Selector
    """Which Models enter."""
    on_new_challenger: OnNewChallenger = OnNewChallenger.QUEUE
    """While another one is judged, a new Model waits (Queue), takes its place (Replace) or stays out (Reject)."""


DEFAULT_REPLICAS = 2
"""Pods per model where the spec names no number: one may go away, and the model goes on answering."""


class Serving(Scheduling):
    """The pods that serve a model, champion and challengers alike."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.replicas) || !has(self.autoscaling)",
                (
                    "set replicas (a fixed number of pods) or autoscaling (a number that follows the load), not both: "
                    "remove one of them"
                ),
            ),
        )
    )

    replicas: Annotated[int, Field(ge=1, le=100)] | None = None
    """Pods per model, a fixed number; 2 when neither replicas nor autoscaling is set."""
    autoscaling: Autoscaling | None = None
    """Lets the number of pods per model follow the load."""
    image: Image | None = None
    """Serving image; left out, the operator's own choice."""
    resources: Resources = Resources()
    """CPU, memory and disk per pod."""
    max_request_bytes: Annotated[int, Field(ge=1024, le=2**30)] | None = None
    """Longest request body, in bytes; left out, the server's own choice."""

    @property
    def fixed_replicas(self) -> int | None:
        """Pods per model; None when an autoscaler says how many."""
        return None if self.autoscaling else self.replicas or DEFAULT_REPLICAS


class HeaderName(Text):
    """Name of an HTTP header."""

    __slots__ = ()
    MAX_LENGTH = 128
    RULES = (
        TextRule("^[a-z0-9][-_a-z0-9]*$", "must be a header's name in lower case: letters, digits, '-' and '_'"),
        TextRule("^kingmaker-", "headers that begin with kingmaker- are the router's own: choose another", refuse=True),
    )


class Affinity(ApiModel):
    """Which requests belong together."""

    header: HeaderName
    """Requests with the same value of this header are answered by the same model, until the next contest draws anew.
    Contests are judged by such entities then, not by requests: 50 tenants say as much as 50 units do."""


class Routing(ApiModel):
    """How requests find their model."""

    affinity: Affinity | None = None
    """Which requests belong together; left out, each request is on its own."""


_FIXED = "self.challengers.filter(c, has(c.weight)).map(c, c.weight).sum()"
_STAGED = (
    "has(self.enrol) || has(self.retraining) || self.challengers.exists(c, !has(c.weight) && !has(c.shadowPercent))"
)
_HIGHEST = "self.contest.stages.map(s, has(s.weight) ? s.weight : 0).max()"


class ModelDeploymentSpec(ApiModel):
    """What people want of a seat."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.challengers.all(c, c.modelRef.name != self.championRef.name)",
                "a challenger is the champion itself: remove that challenger or name another championRef",
            ),
            (
                f"{_FIXED} <= 90",
                "the challengers' weights add up to more than 90: the champion keeps at least 10 percent",
            ),
            (
                f"!({_STAGED}) || {_FIXED} > 90 || {_FIXED} + {_HIGHEST} <= 99",
                (
                    "the challengers' fixed weights and the highest weight of contest.stages add up to more than 99: "
                    "lower one of them, the champion needs the rest"
                ),
            ),
        )
    )

    champion_ref: ModelRef
    """Who holds the seat to begin with. Changing it is a person's decision and wins over what was promoted since."""
    challengers: tuple[Challenger, ...] = Field(
        default=(),
        max_length=8,
        json_schema_extra=map_of("name")
        | rules(
            (
                "self.all(c, self.exists_one(d, d.modelRef.name == c.modelRef.name))",
                "two challengers name the same Model: keep one of them",
            ),
        ),
    )
    """Challengers that people declare."""
    enrol: Enrol | None = None
    """Lets verified Models of the champion's family enter as challengers by themselves. Left out, none does."""
    contest: Contest = Contest()
    """How a challenger is judged, and what follows."""
    serving: Serving = Serving()
    """The pods that serve a model, champion and challengers alike."""
    routing: Routing = Routing()
    """How requests find their model."""
    monitoring: Monitoring = Monitoring()
    """When live data counts as drifted, and when as broken."""
    retraining: Retraining | None = None
    """When a new model is trained, how often at most, and by which Job. Left out, none is."""


class ModelDeployment(Resource):
    """A seat that answers requests under one URL: who holds it, who may contest it, and what became of that."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.metadata.name.matches(r'^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$')",
                (
                    "a ModelDeployment's name becomes the name of a Service: at most 63 lower-case letters, digits "
                    "and '-', beginning with a letter"
                ),
            ),
        )
    )

    kind: str = "ModelDeployment"
    spec: ModelDeploymentSpec
    """What people want of the seat."""
    status: ModelDeploymentStatus = ModelDeploymentStatus()
    """What the operator decided and sees."""
