"""Who may challenge the champion: declared challengers, enrolled models, and what retraining produced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from kingmaker.api import ConditionType, Model, Reason, Tensor
from kingmaker.core.manifests.objects import DEPLOYMENT_UID
from kingmaker.core.observed import Observed
from kingmaker.core.state import State


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why a model can't stand in for the champion: FamilyMismatch or SignatureMismatch, and a sentence."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that wants a contest. `entry` names the declared challenger; empty for enrolled ones.

    `weight` and `shadow_percent` are set for a fixed split only. `mismatch` says why it can't compete, if so.
    """

    entry: str
    model: str
    digest: str
    weight: int = 0
    shadow_percent: int = 0
    mismatch: Mismatch | None = None

    @property
    def fixed(self) -> bool:
        """Whether its split is fixed by the spec instead of following the stages."""
        return bool(self.weight or self.shadow_percent)


def is_ready(model: Model) -> bool:
    """Whether the model was verified."""
    return any(c.type == ConditionType.READY and c.status == "True" for c in model.status.conditions)


def unready_message(observed: Observed, name: str) -> str:
    """Say why a model can't be used yet.

    Args:
        model: The Model, None when there is none of that name.
        name: Its name.
    """
    model = observed.models.get(name)
    if why := observed.unreadable.get(name):
        return f"Model {name} can't be read: {why}"
    if model is None:
        return f"Model {name} does not exist in this namespace; apply it"
    for condition in model.status.conditions:
        # Whether its verification was begun already is nobody's news, and would be a status to write.
        is_verifying = condition.reason == Reason.VERIFYING
        if condition.type == ConditionType.READY and condition.status != "True" and not is_verifying:
            return f"Model {name} is not ready: {condition.message}"
    return f"Model {name} is being verified"


def find_candidates(observed: Observed, state: State) -> tuple[Candidate, ...]:
    """List the models that wait for a contest, in the order in which they get one.

    Declared ones first, as people wrote them; then enrolled ones, oldest first. A model that already had its contest or
    its reign does not come back by itself, whatever a GitOps tool applies again.

    Args:
        observed: The snapshot, with every Model of the namespace.
        state: Who holds the seat, who competes, who was judged before.
    """
    waiting = [*_declared(observed), *_enrolled(observed, state)]
    seats = {s.digest for s in (state.champion, state.previous) if s}
    found: dict[str, Candidate] = {}
    for candidate in waiting:
        known = candidate.digest in seats or state.was_judged(candidate.digest)
        if candidate.digest and not known and state.contest_of(candidate.model) is None:
            found.setdefault(candidate.digest, candidate)
    return tuple(replace(c, mismatch=_mismatch(observed, state, c.model)) for c in found.values())


def _declared(observed: Observed) -> Iterator[Candidate]:
    for entry in observed.mdep.spec.challengers:
        model = observed.models.get(entry.model_ref.name)
        if model is not None and is_ready(model):
            yield Candidate(
                entry.name,
                entry.model_ref.name,
                model.spec.artifact.digest,
                entry.weight or 0,
                entry.shadow_percent or 0,
            )


def _enrolled(observed: Observed, state: State) -> Iterator[Candidate]:
    declared = {e.model_ref.name for e in observed.mdep.spec.challengers}
    family = champion_family(observed, state)
    models = sorted(observed.models.values(), key=_age)
    for model in models:
        name = model.metadata.name
        if name in declared or model.spec.family != family or not is_ready(model):
            continue
        if _is_selected(observed, model) or is_own_retraining(observed, model):
            yield Candidate("", name, model.spec.artifact.digest)


def is_still_enrolled(observed: Observed, name: str) -> bool:
    """Whether a model that entered by itself still may: people can take the rule, or the label, away.

    Args:
        observed: The snapshot, with the spec and the Models as they are now.
        name: The Model's name.
    """
    model = observed.models.get(name)
    return model is not None and (_is_selected(observed, model) or is_own_retraining(observed, model))


def _age(model: Model) -> tuple[float, str]:
    created = model.metadata.creation_timestamp
    return (created.timestamp() if created else 0.0, model.metadata.name)


def champion_family(observed: Observed, state: State) -> str:
    """The family whose models may compete here; empty before there is a champion.

    Args:
        observed: The snapshot.
        state: Who holds the seat.
    """
    champion = observed.models.get(state.champion.name) if state.champion else None
    return champion.spec.family if champion else ""


def is_own_retraining(observed: Observed, model: Model) -> bool:
    """Whether the model came out of this very deployment's retraining; it competes whatever the selector says.

    Args:
        observed: The snapshot of the deployment.
        model: Any Model of its namespace.
    """
    lineage = model.spec.lineage
    trigger = lineage.triggered_by if lineage else None
    same_name = trigger is not None and trigger.model_deployment == observed.mdep.metadata.name
    return same_name and model.metadata.labels.get(DEPLOYMENT_UID) == observed.uid


def _is_selected(observed: Observed, model: Model) -> bool:
    enrol = observed.mdep.spec.enrol
    if enrol is None:
        return False
    labels = model.metadata.labels
    return all(labels.get(key) == value for key, value in enrol.selector.match_labels.items())


def _mismatch(observed: Observed, state: State, name: str) -> Mismatch | None:
    """Only what clients would notice counts: the family, and the inputs they send."""
    model = observed.models[name]
    champion = observed.models.get(state.champion.name) if state.champion else None
    if champion is None:
        return None
    if model.spec.family != champion.spec.family:
        message = f"family {model.spec.family} differs from the champion's, {champion.spec.family}"
        return Mismatch(Reason.FAMILY_MISMATCH, message)
    mine, theirs = model.status.signature, champion.status.signature
    if mine and theirs and mine.inputs != theirs.inputs:
        message = f"inputs {_names(mine.inputs)} differ from the champion's, {_names(theirs.inputs)}"
        return Mismatch(Reason.SIGNATURE_MISMATCH, message)
    return None


def _names(tensors: Sequence[Tensor]) -> str:
    return ", ".join(f"{t.name} {t.datatype}{list(t.shape)}" for t in tensors)
