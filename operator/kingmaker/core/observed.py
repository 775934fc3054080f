"""Everything that one pass read about one ModelDeployment, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from kingmaker.api import Model, ModelDeployment, Reason
from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.counts.ledger import Ledger
from kingmaker.core.counts.process import ProcessCounts
from kingmaker.core.state import State

Body = Mapping[str, Any]
"""A Kubernetes object as the API server gives it."""


_MOST_WORDS: Final = 1000


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why pods do not come up: PodsRefused (admission or a quota) or PodsFailing (they are there and fail)."""

    reason: Reason
    message: str
    crashes: bool = False
    """Whether a server itself was run and ended again and again: it is the model's own doing, or its image's."""


@dataclass(frozen=True, slots=True)
class ObservedVariant:
    """The pods of one model: `ready` and `desired` count pods, `endpoints` are the ready pods' addresses.

    `returning` are the addresses of pods that were killed and start again, or that end but still answer.
    """

    model: str
    desired: int = 0
    ready: int = 0
    endpoints: tuple[str, ...] = ()
    service_ip: str | None = None
    stalled: str = ""
    """Why the pods do not come up, in the words of Kubernetes; empty while they may."""
    returning: tuple[str, ...] = ()
    last_ready: datetime | None = None
    """When the newest of the ready pods became so."""
    unbegun_since: datetime | None = None
    """Since when the longest waiting of its pods has a node, and no container of it began."""
    trouble: Trouble | None = None
    """What keeps pods from coming up now, whether or not there is hope."""

    @property
    def keeps_crashing(self) -> bool:
        """Whether none of its pods answers, because servers that were run ended again and again."""
        return self.ready == 0 and self.trouble is not None and self.trouble.crashes

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where requests go: to ready pods, and only without any to those that will answer in a moment."""
        return self.endpoints or self.returning


@dataclass(frozen=True, slots=True)
class ObservedRouter:
    """One router pod. `decision` is what it acknowledged for this deployment, None when nothing; `weights` likewise."""

    pod: str
    ready: bool
    decision: int | None = None
    weights: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None
    settling: bool = False
    """Whether it said nothing yet, and this operator has only just begun to ask."""


@dataclass(frozen=True, slots=True)
class RouterPod:
    """A pod of a namespace's router that may connect; `address` is its IP address, `ready` whether it gets requests.

    While it is `settling` this operator has just begun, and a router that said nothing yet may still do as it is told.
    """

    pod: str
    address: str
    ready: bool
    settling: bool = False


@dataclass(frozen=True, slots=True)
class ObservedJob:
    """A Job of ours and how it ended.

    `message` is the termination message of its last pod, `ending` what else Kubernetes knows of how that pod ended, and
    `reason` what the Job says of itself.
    """

    name: str
    uid: str
    succeeded: bool = False
    failed: bool = False
    message: str = ""
    ending: str = ""
    reason: str = ""

    def why(self, words: str = "") -> str:
        """Say why it failed.

        Args:
            words: Instead of the message, where somebody read that.
        """
        words = words or self.message
        # Of a log or a traceback, which stand in for a message, the last words say most.
        shown = f"... {words[-_MOST_WORDS:]}" if len(words) > _MOST_WORDS else words
        told = "; ".join(part for part in (shown, self.ending) if part)
        return told or self.reason or "its Job failed and nobody says why; see its logs"

    @property
    def is_finished(self) -> bool:
        """Whether it will not run again."""
        return self.succeeded or self.failed


@dataclass(frozen=True, slots=True)
class Question:
    """A query with its names filled in, and the Prometheus that is asked; an empty `source` is the default one."""

    source: str
    query: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A number, or why there is none."""

    value: float | None
    problem: str = ""


Answers = Mapping[Question, tuple[Answer, ...]]
"""What was answered, the newest last."""


@dataclass(frozen=True, slots=True)
class Observed:
    """One snapshot. `children` holds the live objects that the operator owns, by (kind, name)."""

    now: datetime
    mdep: ModelDeployment
    uid: str
    state: State = State()
    models: Mapping[str, Model] = field(default_factory=dict)
    """Models that are named, or that may enter by themselves, by name."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Likewise those that are there but can't be read, and what is wrong with them."""
    children: Mapping[tuple[str, str], Body] = field(default_factory=dict)
    variants: Mapping[str, ObservedVariant] = field(default_factory=dict)
    routers: tuple[ObservedRouter, ...] = ()
    jobs: Mapping[str, ObservedJob] = field(default_factory=dict)
    ledger: Ledger = Ledger()
    """What the operator has in memory, as it was stored only after a start."""
    profiles: tuple[ProcessCounts, ...] = ()
    """What the pods that answered counted."""
    scraped: bool = False
    """Whether this pass asked the pods for their counts."""
    scraped_at: datetime | None = None
    """When the pods were asked last, or, after a start, from when on their interval counts; None when nobody asks."""
    pod_uids: frozenset[str] = frozenset()
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    answers: Answers = field(default_factory=dict)
    """What Prometheus servers answered to the contests' queries so far."""
    taken: tuple[tuple[str, str], ...] = ()
    """(kind, name) of somebody else's objects that have a name which this deployment needs: of its Service, of its next
    record."""
    keys_made: datetime | None = None
    """When this operator saw to it last that the keys of the request ids are there; None since its start."""
    expired: tuple[tuple[str, str], ...] = ()
    """(name, uid) of records beyond the retention, oldest first."""

    @property
    def can_record(self) -> bool:
        """Whether a decision can be recorded: its name is free."""
        return all(kind != "Decision" for kind, _ in self.taken)

    def digest_of(self, model: str) -> str:
        """Digest of a model by name; empty when the Model is gone."""
        found = self.models.get(model)
        return found.spec.artifact.digest if found else ""

    def variant(self, model: str) -> ObservedVariant:
        """The pods of a model; an empty variant when there are none."""
        return self.variants.get(model) or ObservedVariant(model)
