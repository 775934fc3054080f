"""`Model`: one immutable version of a model."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from kingmaker.api.common import (
    ApiModel,
    ClassName,
    Count,
    Generation,
    Line,
    ModelRef,
    Resource,
    SecretRef,
    Timestamp,
    Word,
    atomic,
    map_of,
    rules,
)
from kingmaker.api.conditions import Condition
from kingmaker.api.text import Digest, Magnitude, Name, Number, Uri

TensorName = Annotated[str, Field(min_length=1, max_length=256)]


class ArtifactFormat(StrEnum):
    """File format of a model."""

    ONNX = "ONNX"
    """One file that ONNX Runtime loads, or a digest manifest of such a file and those that hold its external data."""


class Datatype(StrEnum):
    """Element type of a tensor, as the Open Inference Protocol spells it."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    BF16 = "BF16"
    FP32 = "FP32"
    FP64 = "FP64"
    BYTES = "BYTES"


class TaskType(StrEnum):
    """What kind of answer a model gives."""

    CLASSIFICATION = "Classification"
    """An answer is right or wrong."""
    REGRESSION = "Regression"
    """An answer is right within `errorTolerance`."""


class Role(StrEnum):
    """The part that a Model plays in a ModelDeployment."""

    CHAMPION = "Champion"
    """It holds the seat."""
    CHALLENGER = "Challenger"
    """It contests the seat, or its pods are made ready for that."""
    PREVIOUS = "Previous"
    """It held the seat and is kept warm for a rollback."""


class FileRef(ApiModel):
    """A file and the digest of its bytes."""

    uri: Uri
    """Where the file is: a URI of a scheme that docs/storage.md lists, such as s3://bucket/key."""
    digest: Digest
    """SHA-256 of the file; other bytes are refused before they are parsed."""


class Artifact(ApiModel):
    """The model's file, or the manifest of its files."""

    format: ArtifactFormat
    """File format. ONNX is the only one."""
    uri: Uri
    """Where the file is: a URI of a scheme that docs/storage.md lists, such as s3://bucket/key."""
    digest: Digest
    """SHA-256 of the file; other bytes are refused before they are parsed."""
    credentials_secret_ref: SecretRef | None = None
    """Secret whose keys become environment variables of the container that downloads, and of no other."""


class Tensor(ApiModel):
    """An input or output of a model."""

    name: TensorName
    """Name of the tensor in the ONNX file."""
    datatype: Datatype
    """Element type, as the Open Inference Protocol spells it."""
    shape: tuple[Annotated[int, Field(ge=-1, le=2**31 - 1)], ...] = Field(max_length=8, json_schema_extra=atomic())
    """Sizes of the dimensions; -1 for any size, as the batch dimension has. No dimensions at all: any shape."""


class Signature(ApiModel):
    """The tensors that a model takes and gives."""

    inputs: tuple[Tensor, ...] = Field(max_length=1024, json_schema_extra=map_of("name"))
    """Tensors that a request must have."""
    outputs: tuple[Tensor, ...] = Field(min_length=1, max_length=1024, json_schema_extra=map_of("name"))
    """Tensors that a reply has."""


class Task(ApiModel):
    """Which output means what."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.type != 'Regression' || has(self.errorTolerance)",
                "a Regression needs errorTolerance: the absolute error above which an answer counts as wrong",
            ),
            (
                "self.type == 'Regression' || !has(self.errorTolerance)",
                "errorTolerance is for type Regression: remove it",
            ),
            ("self.type != 'Regression' || !has(self.score)", "score is for type Classification: remove it"),
            ("self.type != 'Regression' || !has(self.positive)", "positive is for type Classification: remove it"),
        )
    )

    type: TaskType
    """Classification (an answer is right or wrong) or Regression (right within errorTolerance)."""
    label: TensorName
    """Output that holds the answer: the predicted class, or the predicted number."""
    score: TensorName | None = None
    """Output that holds the classes' probabilities."""
    positive: ClassName | None = None
    """The class that is looked for, as labels name it: text as it is, 2 for the number 2.0, 1 and 0 for booleans."""
    error_tolerance: Magnitude | None = None
    """Absolute error above which a Regression's answer counts as wrong, in the label's unit."""


class Source(ApiModel):
    """The code that built a model."""

    repository: Line | None = None
    """Where the code is."""
    revision: Word | None = None
    """Which revision of it."""


class TrainingData(ApiModel):
    """Data that a model was trained on."""

    uri: Annotated[str, Field(min_length=1, max_length=1024)]
    """Where the data is, in the words of whoever keeps it."""
    digest: Digest | None = None
    """SHA-256 of the data."""
    rows: Count | None = None
    """How many rows were used."""


class TriggeredBy(ApiModel):
    """The decision that a model was trained for."""

    model_deployment: Name
    """Name of the ModelDeployment that retrained."""
    decision: Annotated[str, Field(min_length=1, max_length=253)]
    """Name of its Decision."""


class Lineage(ApiModel):
    """Where a model comes from. For people and audits; nothing is decided by it, except its age by builtAt."""

    built_at: Timestamp | None = None
    """When it was trained."""
    built_by: Line | None = None
    """Who or what trained it."""
    framework: Line | None = None
    """What it was trained with, with version."""
    source: Source | None = None
    """The code that built it."""
    training_data: tuple[TrainingData, ...] = Field(default=(), max_length=50, json_schema_extra=atomic())
    """What it was trained on."""
    parent_ref: ModelRef | None = None
    """The Model that it was derived from."""
    triggered_by: TriggeredBy | None = None
    """The decision that it was trained for."""


class Metric(ApiModel):
    """A figure that was measured when the model was built."""

    name: Word
    """What was measured, such as accuracy."""
    value: Number
    """The figure, a decimal in quotes."""
    dataset: Word
    """What it was measured on, such as holdout."""


_IMMUTABLE = "a Model is one immutable version: create a new Model under another name instead of changing this one"
_LABEL = "task.label names no output of the signature: name one of signature.outputs"
_SCORE = "task.score names no output of the signature: name one of signature.outputs"


class ModelSpec(ApiModel):
    """One version of a model. Immutable as a whole."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("self == oldSelf", _IMMUTABLE),
            (
                (
                    "!has(self.task) || !has(self.signature) || "
                    "self.signature.outputs.exists(o, o.name == self.task.label)"
                ),
                _LABEL,
            ),
            (
                (
                    "!has(self.task) || !has(self.task.score) || !has(self.signature) || "
                    "self.signature.outputs.exists(o, o.name == self.task.score)"
                ),
                _SCORE,
            ),
        )
    )

    family: Name
    """What the model is for; only models of one family contest each other."""
    version: Word
    """Version within the family, for people: any text."""
    artifact: Artifact
    """The model's file."""
    baseline: FileRef | None = None
    """Reference counts that live data is compared with (kingmaker.dev/baseline/v1). Without it drift can't be seen."""
    examples: FileRef | None = None
    """Inputs with expected outputs (kingmaker.dev/examples/v1), for the self-test before the model takes requests."""
    signature: Signature | None = None
    """The tensors that the model must have. Left out, they are read from the file and written to status."""
    task: Task | None = None
    """Which output means what. Without it neither answers nor errors can be compared."""
    lineage: Lineage | None = None
    """Where the model comes from."""
    metrics: tuple[Metric, ...] = Field(default=(), max_length=50, json_schema_extra=map_of("name", "dataset"))
    """Figures that were measured when the model was built."""


class ArtifactStatus(ApiModel):
    """The model's file as it was found."""

    digest: Digest
    """SHA-256 of the file."""
    size_bytes: Count
    """Size of the file."""
    opset: Annotated[int, Field(ge=0, le=10_000)] | None = None
    """Version of ONNX's default operator set that it uses."""
    producer: Annotated[str, Field(max_length=256)] | None = None
    """What wrote the file."""


class BaselineStatus(ApiModel):
    """The baseline as it was found."""

    digest: Digest
    """SHA-256 of the document."""
    rows: Count
    """Rows that the reference counts."""
    features: Count
    """Number of features."""


MOST_ROLES: Final = 64
"""ModelDeployments that a Model's status names."""


class RoleStatus(ApiModel):
    """Where this Model serves."""

    model_deployment: Name
    """Name of the ModelDeployment."""
    role: Role
    """Champion, Challenger or Previous."""


class ModelStatus(ApiModel):
    """What the operator found out about the model."""

    observed_generation: Generation = -1
    """The generation of the spec that this status speaks of."""
    conditions: tuple[Condition, ...] = Field(default=(), max_length=16, json_schema_extra=map_of("type"))
    """Ready: verified. Reconciling and Stalled: absent unless true."""
    artifact: ArtifactStatus | None = None
    """The model's file as it was found."""
    signature: Signature | None = None
    """The tensors as they were found."""
    baseline: BaselineStatus | None = None
    """The baseline as it was found."""
    roles: tuple[RoleStatus, ...] = Field(
        default=(), max_length=MOST_ROLES, json_schema_extra=map_of("modelDeployment")
    )
    """ModelDeployments that serve this Model."""


class Model(Resource):
    """One immutable version of a model: its file, what it was built from, and what it looks like when verified."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.metadata.name.matches(r'^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",
                (
                    "a Model's name becomes part of Service names and labels: "
                    "at most 63 lower-case letters, digits and '-', no dots"
                ),
            ),
        )
    )

    kind: str = "Model"
    spec: ModelSpec
    """One version of a model. Immutable as a whole."""
    status: ModelStatus = ModelStatus()
    """What the operator found out about the model."""
