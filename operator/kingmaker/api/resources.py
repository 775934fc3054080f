"""CPU, memory and disk, as Kubernetes' containers have them."""

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from kingmaker.api.common import ApiModel, rules


def _to_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_QUANTITY: Final[dict[str, Any]] = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "maxLength": 32,
    "x-kubernetes-int-or-string": True,
} | rules(
    (
        "isQuantity(string(self)) && quantity(string(self)).isGreaterThan(quantity('0'))",
        "must be a quantity above 0, such as 500m or 2 for cpu, 256Mi or 1Gi for memory",
    )
)

Quantity = Annotated[str, BeforeValidator(_to_text), Field(max_length=32), WithJsonSchema(_QUANTITY)]
"""An amount as Kubernetes writes it: `500m`, `2`, `1Gi`."""


class Amounts(ApiModel):
    """Amounts of CPU, memory and disk."""

    cpu: Quantity | None = None
    """CPU: 1 is one core, 500m half of one."""
    memory: Quantity | None = None
    """Memory: 256Mi, 1Gi."""
    ephemeral_storage: Quantity | None = Field(default=None, alias="ephemeral-storage")
    """Disk of the node, for what ends with the pod: 1Gi."""


_BELOW: Final = (
    "!has(self.requests) || !has(self.requests.{0}) || !has(self.limits) || !has(self.limits.{0}) || "
    "quantity(string(self.requests.{0})).compareTo(quantity(string(self.limits.{0}))) <= 0"
)


class Resources(ApiModel):
    """CPU, memory and disk of a container."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (_BELOW.format("cpu"), "requests.cpu must not be above limits.cpu"),
            (_BELOW.format("memory"), "requests.memory must not be above limits.memory"),
            # In CEL a field's '-' is spelt so.
            (
                _BELOW.format("ephemeral__dash__storage"),
                "requests.ephemeral-storage must not be above limits.ephemeral-storage",
            ),
        )
    )

    requests: Amounts | None = None
    """What the scheduler reserves."""
    limits: Amounts | None = None
    """What the container may use at most."""
