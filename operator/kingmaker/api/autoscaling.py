"""`spec.serving.autoscaling`: as many pods as the load asks for, within bounds."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from kingmaker.api.common import ApiModel, rules
from kingmaker.api.text import Duration, TextRule


class Delay(Duration):
    """A Duration of at most one hour, which is what Kubernetes' autoscaler looks back at most."""

    __slots__ = ()
    RULES: ClassVar[Sequence[TextRule]] = (
        TextRule("^(0s|[1-9][0-9]{0,2}s|[1-5]?[0-9]m|60m|1h)$", "must be a duration up to 1h, such as 30s, 5m or 1h"),
    )


class Autoscaling(ApiModel):
    """How many pods serve a model when their number follows the load."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.targetCPUPercent) != has(self.targetConcurrency)",
                "set one of targetCPUPercent (needs metrics-server) or targetConcurrency (needs custom metrics)",
            ),
            (
                "self.minReplicas <= self.maxReplicas",
                "minReplicas (2 when it is left out) must not be above maxReplicas",
            ),
        )
    )

    min_replicas: Annotated[int, Field(ge=1, le=100)] = 2
    """Pods per model, at least."""
    max_replicas: Annotated[int, Field(ge=1, le=100)]
    """Pods per model, at most."""
    target_cpu_percent: Annotated[int, Field(ge=1, le=1000)] | None = Field(default=None, alias="targetCPUPercent")
    """Pods are added while they use more than this percentage of the CPU that they request, on average."""
    target_concurrency: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Pods are added while more requests than this are in flight per pod, on average."""
    scale_down_delay: Delay = Delay("5m")
    """Pods are removed only when fewer were enough for this long."""
