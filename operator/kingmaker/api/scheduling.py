"""Where pods run: the part of a pod's scheduling that people may choose."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from kingmaker.api.common import ApiModel, atomic, rules
from kingmaker.api.text import ObjectName, TextRule


class TolerationOperator(StrEnum):
    """How a toleration compares."""

    EQUAL = "Equal"
    """The taint's value is `value`."""
    EXISTS = "Exists"
    """Any value of the taint."""


class TaintEffect(StrEnum):
    """What a taint does to pods that do not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    """They are not placed on the node."""
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    """They are placed on the node only when no other has room."""
    NO_EXECUTE = "NoExecute"
    """They are not placed on the node, and those that run there are evicted."""


class PriorityClassName(ObjectName):
    """The name of a PriorityClass."""

    __slots__ = ()
    RULES = (
        *ObjectName.RULES,
        TextRule("^system-", "classes that begin with system- are the cluster's own: choose another", refuse=True),
    )


class Toleration(ApiModel):
    """A taint of nodes that does not keep the pods away."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.operator != 'Exists' || !has(self.value)",
                "operator Exists tolerates any value: remove value, or use operator Equal",
            ),
            (
                "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
                "tolerationSeconds is for effect NoExecute alone: set that effect or remove tolerationSeconds",
            ),
        )
    )

    key: Annotated[str, Field(min_length=1, max_length=317)]
    """Key of the taint. There is no toleration of everything: nodes that are not ready are tainted, too."""
    operator: TolerationOperator = TolerationOperator.EQUAL
    """Equal: the taint's value is `value`, empty when that is left out. Exists: any value."""
    value: Annotated[str, Field(max_length=63)] | None = None
    """Value of the taint."""
    effect: TaintEffect | None = None
    """The effect that is tolerated; left out, all."""
    toleration_seconds: Annotated[int, Field(ge=0, le=604_800)] | None = None
    """For NoExecute: how long a pod stays on a node after the taint came; left out, for ever."""


NodeLabels = Annotated[
    Mapping[str, Annotated[str, Field(max_length=63)]],
    Field(
        max_length=16,
        json_schema_extra=rules(
            ("self.all(k, k.size() > 0 && k.size() <= 317)", "label keys have 1 to 317 characters"),
        ),
    ),
]


class Scheduling(ApiModel):
    """Where pods run. These fields of a pod, and no others, may be chosen."""

    node_selector: NodeLabels | None = None
    """Labels that a node must have, all of them."""
    tolerations: tuple[Toleration, ...] = Field(default=(), max_length=16, json_schema_extra=atomic())
    """Taints of nodes that do not keep the pods away."""
    runtime_class_name: ObjectName | None = None
    """RuntimeClass, such as one that runs pods in gVisor."""
    priority_class_name: PriorityClassName | None = None
    """PriorityClass."""
