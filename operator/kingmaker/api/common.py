"""What every resource of the API is made of: the base model, metadata, references, bounded scalars."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

from kingmaker.api.text import Name, ObjectName

GROUP: Final = "kingmaker.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"


def _to_alias(name: str) -> str:
    # `from_` is how Python has to spell `from`.
    return to_camel(name.rstrip("_"))


class ApiModel(BaseModel):
    """Base of everything in the API: frozen, camelCase outside, snake_case inside.

    Unknown fields are ignored here: the API server prunes them, and after a downgrade of the operator a field that it
    does not know must not stop it.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=_to_alias, populate_by_name=True, use_attribute_docstrings=True
    )

    def manifest(self) -> dict[str, Any]:
        """Give the JSON form that the API server takes; what is unset is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """Schema extra with CEL rules, given as (rule that must hold, sentence that says what to do)."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in pairs]}


def map_of(*keys: str) -> dict[str, Any]:
    """Schema extra of a list whose entries are told apart by `keys`."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def set_of() -> dict[str, Any]:
    """Schema extra of a list of scalars without repetition."""
    return {"x-kubernetes-list-type": "set"}


def atomic() -> dict[str, Any]:
    """Schema extra of a list that is replaced as a whole."""
    return {"x-kubernetes-list-type": "atomic"}


def _to_seconds(moment: datetime) -> datetime:
    # Kubernetes keeps whole seconds: cut here, or what is read back differs from what was written, for ever.
    return moment.astimezone(UTC).replace(microsecond=0)


Timestamp = Annotated[
    AwareDatetime,
    AfterValidator(_to_seconds),
    PlainSerializer(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ"), return_type=str, when_used="json"),
]
"""A moment in UTC, whole seconds."""

Percent = Annotated[int, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
Generation = Annotated[int, Field(ge=-1, le=2**53 - 1)]
Word = Annotated[str, Field(min_length=1, max_length=128)]
ClassName = Annotated[str, Field(min_length=1, max_length=64)]
Line = Annotated[str, Field(min_length=1, max_length=512)]
Image = Annotated[str, Field(min_length=1, max_length=512)]
Message = Annotated[str, Field(max_length=4096)]


class OwnerReference(ApiModel):
    """Who owns an object."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False


class ObjectMeta(ApiModel):
    """The part of Kubernetes' object metadata that Kingmaker reads."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None
    labels: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    owner_references: tuple[OwnerReference, ...] = ()


class Resource(ApiModel):
    """A whole object; subclasses add `spec` and `status`."""

    api_version: str = API_VERSION
    kind: str
    metadata: ObjectMeta

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        """Read an object as the API server gives it.

        Raises:
            pydantic.ValidationError: when the object does not fit, which the CRD's schema prevents.
        """
        return cls.model_validate(body)


class ModelRef(ApiModel):
    """Refers to a Model in the same namespace."""

    name: Name
    """Name of the Model."""


class SecretRef(ApiModel):
    """Refers to a Secret in the same namespace."""

    name: ObjectName
    """Name of the Secret."""
