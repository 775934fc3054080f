"""`spec.retraining`: when a new model is trained, how often at most, and by which Job."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from kingmaker.api.common import ApiModel, Image, atomic, map_of, rules, set_of
from kingmaker.api.resources import Quantity, Resources
from kingmaker.api.scheduling import Scheduling
from kingmaker.api.text import (
    Duration,
    Magnitude,
    Name,
    ObjectName,
    OutputUri,
    PositiveDuration,
    Share,
    Text,
    TextRule,
)

Argument = Annotated[str, Field(max_length=4096)]


MOST_RUNS: Final = 100
"""The largest budget of runs; as many are remembered."""


class Trigger(StrEnum):
    """What starts retraining."""

    DRIFT = "Drift"
    """Drift of the champion's data, seen as often as `persistence` asks."""
    PERFORMANCE = "Performance"
    """A rise of the champion's error, seen as often as `persistence` asks."""
    AGE = "Age"
    """A champion older than `maxAge`."""


class EnvName(Text):
    """Name of an environment variable."""

    __slots__ = ()
    MAX_LENGTH = 128
    RULES = (
        TextRule("^[A-Za-z_][A-Za-z0-9_]*$", "must be letters, digits and '_', not beginning with a digit"),
        TextRule(
            "^KINGMAKER_", "names that begin with KINGMAKER_ are set by the operator: choose another", refuse=True
        ),
    )


class MountPath(Text):
    """Where a volume is mounted."""

    __slots__ = ()
    MAX_LENGTH = 512
    RULES = (
        TextRule("^/[^:]*[^:/]$", "must be an absolute path below / without ':' and without a '/' at the end"),
        TextRule("(^|/)[.][.](/|$)", "must not contain '..' segments: write the path in full", refuse=True),
        TextRule("^/(dev|proc|sys)(/|$)", "must not be below /dev, /proc or /sys", refuse=True),
    )


class KeyRef(ApiModel):
    """One key of a Secret or ConfigMap in the same namespace."""

    name: ObjectName
    """Name of the Secret or ConfigMap."""
    key: Annotated[str, Field(min_length=1, max_length=253)]
    """The key in it."""


class EnvSource(ApiModel):
    """Where a variable's value comes from."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.secretKeyRef) != has(self.configMapKeyRef)",
                "set exactly one of secretKeyRef and configMapKeyRef",
            ),
        )
    )

    secret_key_ref: KeyRef | None = None
    """A key of a Secret."""
    config_map_key_ref: KeyRef | None = None
    """A key of a ConfigMap."""


class EnvVar(ApiModel):
    """One environment variable."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("has(self.value) != has(self.valueFrom)", "set exactly one of value and valueFrom"),
        )
    )

    name: EnvName
    """Name of the variable; KINGMAKER_ is the operator's."""
    value: Argument | None = None
    """Its value."""
    value_from: EnvSource | None = None
    """Where its value comes from."""


class ClaimSource(ApiModel):
    """A PersistentVolumeClaim in the same namespace."""

    claim_name: ObjectName
    """Name of the claim."""


class ConfigMapSource(ApiModel):
    """A ConfigMap in the same namespace."""

    name: ObjectName
    """Name of the ConfigMap."""


class EmptyDirSource(ApiModel):
    """An empty folder that ends with the pod."""

    size_limit: Quantity = "10Gi"
    """A pod that writes more into it is ended."""


class Volume(ApiModel):
    """A volume and where it is mounted."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "[has(self.persistentVolumeClaim), has(self.configMap), has(self.emptyDir)].filter(x, x).size() == 1",
                "set exactly one of persistentVolumeClaim, configMap and emptyDir",
            ),
        )
    )

    name: Name
    """Name of the volume."""
    mount_path: MountPath
    """Where it is mounted: an absolute path."""
    read_only: bool = False
    """Mount it read-only."""
    persistent_volume_claim: ClaimSource | None = None
    """A PersistentVolumeClaim in the same namespace."""
    config_map: ConfigMapSource | None = None
    """A ConfigMap in the same namespace."""
    empty_dir: EmptyDirSource | None = None
    """An empty folder that ends with the pod."""


class JobTemplate(Scheduling):
    """The part of a Job that people may choose; everything else is the operator's."""

    image: Image
    """Image of the trainer."""
    command: tuple[Argument, ...] = Field(default=(), max_length=64, json_schema_extra=atomic())
    """Command; left out, the image's own."""
    args: tuple[Argument, ...] = Field(default=(), max_length=128, json_schema_extra=atomic())
    """Arguments."""
    env: tuple[EnvVar, ...] = Field(default=(), max_length=64, json_schema_extra=map_of("name"))
    """Environment variables beside the operator's own KINGMAKER_ ones."""
    resources: Resources = Resources()
    """CPU, memory and disk."""
    volumes: tuple[Volume, ...] = Field(
        default=(),
        max_length=16,
        json_schema_extra=map_of("name")
        | rules(
            (
                "self.all(v, self.exists_one(w, w.mountPath == v.mountPath))",
                "two volumes are mounted at the same mountPath: give each its own",
            ),
        ),
    )
    """Volumes and where they are mounted."""
    deadline: PositiveDuration = PositiveDuration("1h")
    """A run that lasts longer has failed."""
    backoff_limit: Annotated[int, Field(ge=0, le=6)] = 0
    """How often a failed pod is replaced within one run."""


class Persistence(ApiModel):
    """How often drift, or too many errors, must be seen before it counts."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("self.needed <= self.of", "needed must not be above of: drift is seen in `needed` out of the last `of`"),
        )
    )

    of: Annotated[int, Field(ge=1, le=50)] = 3
    """This many evaluations are looked at, the last ones."""
    needed: Annotated[int, Field(ge=1, le=50)] = 2
    """It must have been seen in this many of them."""


class Budget(ApiModel):
    """How many runs there may be."""

    runs: Annotated[int, Field(ge=1, le=MOST_RUNS)] = 4
    """This many runs at most."""
    per: PositiveDuration = PositiveDuration("30d")
    """Within any period of this length."""


class RetrainingCosts(ApiModel):
    """What a run costs, and what errors cost, in one unit: a run begins only where it is expected to pay."""

    training: Magnitude
    """What one run costs."""
    per_error: Magnitude
    """What one request costs that is answered wrong; of the measure AbsoluteError, an error of 1."""
    horizon: PositiveDuration = PositiveDuration("30d")
    """For how long a new model is expected to be as good as the old one was."""
    margin: Share = Share("0.2")
    """By how much more than a run costs it must be expected to save; "0.2" is a fifth."""


class Output(ApiModel):
    """Where a run writes."""

    uri_prefix: OutputUri
    """Prefix of what a run writes; the operator adds a part that is unique per run.

    What a run produced is accepted only below it. For pvc://claim/folder one of the template's volumes must mount the
    claim; the run finds its folder there in KINGMAKER_OUTPUT_DIR.
    """


_CLAIM_IS_MOUNTED: Final = (
    "!self.output.uriPrefix.startsWith('pvc://') || (has(self.template.volumes) && self.template.volumes.exists(v, "
    "has(v.persistentVolumeClaim) && !(has(v.readOnly) && v.readOnly) && "
    "self.output.uriPrefix.startsWith('pvc://' + v.persistentVolumeClaim.claimName + '/')))"
)
_CLAIM_SENTENCE: Final = "output.uriPrefix is on a claim that no volume of the template mounts to write: add one"


class Retraining(ApiModel):
    """When a new model is trained, how often at most, and by which Job."""

    model_config = ConfigDict(json_schema_extra=rules((_CLAIM_IS_MOUNTED, _CLAIM_SENTENCE)))

    triggers: tuple[Trigger, ...] = Field(
        default=(Trigger.DRIFT, Trigger.PERFORMANCE), min_length=1, max_length=len(Trigger), json_schema_extra=set_of()
    )
    """Drift: the champion's data drifted. Performance: its error rose. Age: it is older than maxAge."""
    max_age: PositiveDuration = PositiveDuration("90d")
    """For the trigger Age: how old the champion may become, from lineage.builtAt, else from its creation."""
    persistence: Persistence = Persistence()
    """How often drift, or too many errors, must be seen before it counts."""
    cooldown: Duration = Duration("24h")
    """Time from the beginning of a run to the next one; doubles, up to 14d, while candidates lose."""
    budget: Budget = Budget()
    """How many runs there may be."""
    minimum_gain: Magnitude | None = None
    """For Drift and Performance: a rise of the champion's error that is known and surely smaller starts no run."""
    costs: RetrainingCosts | None = None
    """For Drift and Performance: what runs and errors cost. Without it a run begins whenever one is due."""
    output: Output
    """Where a run writes."""
    template: JobTemplate
    """The Job that trains."""
    suspend: bool = False
    """True: nothing is retrained; a running Job goes on."""
