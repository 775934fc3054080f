"""What the operator has decided about one ModelDeployment, as a value.

Every `Decision` record carries the whole state that holds after it. So the newest record is the truth, status is a view
of it, and a crash between the record and anything else is healed by reading the record again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from pydantic import TypeAdapter

from kingmaker.api.retraining import MOST_RUNS

REJECTED_LIMIT: Final = 50
"""Judged models that are remembered per deployment; the oldest are forgotten first."""

RUNS_LIMIT: Final = MOST_RUNS
"""Retraining runs that are remembered: as many as the largest budget that the schema allows counts in its period."""

SUCCESSIONS_LIMIT: Final = 50
"""Promotions that are remembered against creep."""

STAGE_RUNS_LIMIT: Final = 20
"""Stretches that are remembered per contest: one that goes on for ever gets a new one with every split beside it."""


@dataclass(frozen=True, slots=True)
class Share:
    """One model's part of the traffic: `weight` of the answers, `shadow_percent` of copies; both 0..100."""

    model: str
    weight: int = 0
    shadow_percent: int = 0


@dataclass(frozen=True, slots=True)
class StageRun:
    """One stretch of a contest under one split; counts of `decision` belong to it."""

    stage: str
    decision: int
    since: datetime
    weight: int
    champion_weight: int
    shadow_percent: int = 0

    @property
    def is_live(self) -> bool:
        """Whether both arms answer requests, so that they can be compared."""
        return self.weight > 0 and self.champion_weight > 0

    @property
    def share(self) -> float:
        """The challenger's designed share of the two arms' traffic, 0..1."""
        arms = self.weight + self.champion_weight
        return self.weight / arms if arms else 0.0


@dataclass(frozen=True, slots=True)
class Champion:
    """A model in the champion's seat since `decision`; `until` is how long a dethroned one stays warm.

    `weight` is the percent of the requests that a dethroned one goes on answering until then, and `runs` are the splits
    under which it did: its successor is compared with it at the same time, as a challenger with the champion.
    """

    name: str
    digest: str
    since: datetime
    decision: int = 0
    until: datetime | None = None
    weight: int = 0
    runs: tuple[StageRun, ...] = ()


@dataclass(frozen=True, slots=True)
class Contest:
    """One challenger against the champion.

    `entry` is the declared challenger's name, or empty for an enrolled one. `fixed` contests have one stage for ever.
    """

    entry: str
    model: str
    digest: str
    started: datetime
    runs: tuple[StageRun, ...] = ()
    fixed: bool = False
    paused: bool = False

    @property
    def stage(self) -> str:
        """Name of the stage in force."""
        return self.runs[-1].stage if self.runs else ""


@dataclass(frozen=True, slots=True)
class Judged:
    """A model that was judged: it is not tried again by itself."""

    name: str
    digest: str
    reason: str


@dataclass(frozen=True, slots=True)
class Succession:
    """A promotion after a contest: how many times its predecessor's loss the new champion had, by which measure."""

    at: datetime
    measure: str
    ratio: float


@dataclass(frozen=True, slots=True)
class Run:
    """One retraining run. `outcome` is empty while it is open, else Promoted, Lost or Failed."""

    number: int
    decision: int
    at: datetime
    reason: str
    features: tuple[str, ...] = ()
    window: str = ""
    parent: str = ""
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """Everything that was decided and still matters. `sequence` numbers the decision that led here; 0 means none.

    `affinity` is the header by whose value requests belonged together when the traffic was decided; `draw` numbers the
    decision since which entities fall to variants as they do.
    """

    sequence: int = 0
    at: datetime | None = None
    observed_champion_ref: str = ""
    champion: Champion | None = None
    previous: Champion | None = None
    contests: tuple[Contest, ...] = ()
    traffic: tuple[Share, ...] = ()
    traffic_sequence: int = 0
    affinity: str = ""
    draw: int = 0
    judged: tuple[Judged, ...] = ()
    runs: tuple[Run, ...] = ()
    lost_runs: int = 0
    successions: tuple[Succession, ...] = ()
    """What the promotions since people last named a champion left behind, oldest first."""
    skipped: str = ""
    """Why retraining that was due did not start, as last recorded; empty once a run began."""
    skipped_at: datetime | None = None
    """When that was recorded."""

    @property
    def staged(self) -> Contest | None:
        """The contest that walks through the stages; at most one."""
        return next((c for c in self.contests if not c.fixed), None)

    @property
    def open_run(self) -> Run | None:
        """The retraining run whose fate is open; at most one."""
        return next((r for r in reversed(self.runs) if not r.outcome), None)

    @property
    def next_run_number(self) -> int:
        """Number of the next retraining run, from 1, if nobody has the names that follow from it."""
        return self.runs[-1].number + 1 if self.runs else 1

    def contest_of(self, model: str) -> Contest | None:
        """The contest in which `model` is the challenger."""
        return next((c for c in self.contests if c.model == model), None)

    def was_judged(self, digest: str) -> bool:
        """Whether this artifact already had its contest, or its reign."""
        return any(j.digest == digest for j in self.judged)

    def remember(self, name: str, digest: str, reason: str) -> State:
        """Add a judged model; the newest verdict on a digest replaces older ones.

        Args:
            name: Name of the Model.
            digest: Of its artifact.
            reason: Of the decision that it lost by, or that ended its reign.
        """
        kept = tuple(j for j in self.judged if j.digest != digest)
        return replace(self, judged=(*kept, Judged(name, digest, reason))[-REJECTED_LIMIT:])

    def without_contest(self, model: str) -> State:
        """End the contest of `model`."""
        return replace(self, contests=tuple(c for c in self.contests if c.model != model))

    def with_contest(self, contest: Contest) -> State:
        """Start, or replace, the contest of one model."""
        kept = tuple(c for c in self.contests if c.model != contest.model)
        return replace(self, contests=(*kept, contest))

    def close_run(self, outcome: str) -> State:
        """Close the open retraining run, if there is one.

        A candidate that lost lengthens the cooldown, one that was promoted resets it. A run that failed says nothing of
        what training could find, so it does neither.

        Args:
            outcome: Promoted, Lost or Failed.
        """
        if self.open_run is None:
            return self
        # What it was about is in its Decision; the budget needs its time, the history its outcome.
        runs = tuple(
            r if r.outcome else replace(r, outcome=outcome, features=(), window="", parent="") for r in self.runs
        )
        lost = {"Promoted": 0, "Lost": self.lost_runs + 1}.get(outcome, self.lost_runs)
        return replace(self, runs=runs, lost_runs=lost)


_CODEC: Final[TypeAdapter[State]] = TypeAdapter(State)


def dump_state(state: State) -> str:
    """Canonical JSON of a state, as a Decision keeps it."""
    return _CODEC.dump_json(state, exclude_defaults=True).decode()


def load_state(text: str) -> State:
    """Read a state back.

    Raises:
        ValueError: The text is no state; the message names the field.
    """
    return _CODEC.validate_json(text)
