"""What forbids a run that is due: one entry each, asked in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from kingmaker.api import Reason, Retraining
from kingmaker.core.retraining.triggers import Due, Findings
from kingmaker.core.state import State

LONGEST_COOLDOWN: Final = timedelta(days=14)
"""Doubling ends here: a deployment whose candidates always lose is looked at twice a month."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a run may not begin now: a word and a sentence."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Wish:
    """A run that is due, with what may speak against it."""

    spec: Retraining
    state: State
    now: datetime
    due: Due
    findings: Findings


def next_allowed_at(spec: Retraining, state: State) -> datetime | None:
    """Give the time before which no run begins: the cooldown, doubled for every lost candidate; None without runs.

    Args:
        spec: The spec's block.
        state: Which runs there were, and how many candidates lost since one won.
    """
    if not state.runs:
        return None
    doublings = min(state.lost_runs, 20)
    longest = max(spec.cooldown.timedelta, LONGEST_COOLDOWN)
    pause: timedelta = min(spec.cooldown.timedelta * 2**doublings, longest)
    return state.runs[-1].at + pause


def _suspended(wish: Wish) -> Obstacle | None:
    return Obstacle(Reason.SUSPENDED, "spec.retraining.suspend is true") if wish.spec.suspend else None


def _broken_data(wish: Wish) -> Obstacle | None:
    broken = wish.findings.data.broken
    if not broken:
        return None
    names = ", ".join(broken[:5])
    message = f"a model trained on broken data would be broken: mend {names} at the source"
    return Obstacle(Reason.DATA_QUALITY_BROKEN, message)


def _small_gain(wish: Wish) -> Obstacle | None:
    """What a run would save at most surely, against what it costs (Zliobaite, Budka & Stahl 2015).

    What is saved is the rise of the error, by its lower bound: a new model shall be as good as the old one was.
    Where nobody knows by how much the error rose, drift alone decides; age is a calendar's business.
    """
    rise, spec = wish.findings.errors.rise, wish.spec
    if wish.due.reason is Reason.MODEL_TOO_OLD or rise is None:
        return None
    gain = max(0.0, rise.low)
    if spec.minimum_gain is not None and gain < float(spec.minimum_gain):
        message = f"the error surely rose by less than minimumGain, which is {spec.minimum_gain}"
        return Obstacle(Reason.GAIN_TOO_SMALL, message)
    costs, rate = spec.costs, wish.findings.errors.requests_per_hour
    if costs is None or rate is None:
        return None
    saved = rate * (costs.horizon.timedelta / timedelta(hours=1)) * gain * float(costs.per_error)
    if saved > float(costs.training) * (1 + float(costs.margin)):
        return None
    message = (
        f"within {costs.horizon} a new model would surely save no more than a run costs, which is {costs.training}"
    )
    return Obstacle(Reason.GAIN_TOO_SMALL, message)


def _cooldown(wish: Wish) -> Obstacle | None:
    allowed = next_allowed_at(wish.spec, wish.state)
    if allowed is None or wish.now >= allowed:
        return None
    return Obstacle(Reason.COOLDOWN, f"no run before {allowed:%Y-%m-%d %H:%M:%S}")


def _budget(wish: Wish) -> Obstacle | None:
    budget = wish.spec.budget
    recent = sum(run.at > wish.now - budget.per.timedelta for run in wish.state.runs)
    if recent < budget.runs:
        return None
    return Obstacle(Reason.BUDGET_EXHAUSTED, f"spec.retraining.budget: {recent} runs within {budget.per}")


OBSTACLES: Final[tuple[Callable[[Wish], Obstacle | None], ...]] = (
    # What a person said, before anything that was measured.
    _suspended,
    # Before what time mends: waiting doesn't help here.
    _broken_data,
    # Likewise: what does not pay now needs no date.
    _small_gain,
    # The shorter wait before the longer one.
    _cooldown,
    _budget,
)
"""In the order in which they are asked: the first that holds is what people read."""


def find_obstacle(wish: Wish) -> Obstacle | None:
    """Say what forbids a run that is due; None when it may begin."""
    found = (obstacle(wish) for obstacle in OBSTACLES)
    return next((obstacle for obstacle in found if obstacle), None)
