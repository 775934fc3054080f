"""The two figures that need no cluster: how long a decision takes, and how large a ledger grows."""

import hashlib
import json
import statistics
import time
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from typing import Final

from benchmarks.common.figures import Figure
from benchmarks.scale.figures import figure
from kingmaker.adapters.exposition import ExpositionReader
from kingmaker.api import ModelDeployment
from kingmaker.core.counts.baseline import Baseline, read_baseline
from kingmaker.core.decide import decide
from kingmaker.core.observed import Observed
from kingmaker.core.serving.children import ledger_config_map
from support.fakecounts import PodCounts, baseline_document
from support.world import RULES, World, a_model, a_spec

_STAGES: Final = [
    {"name": name, "weight": weight, "minDuration": "10s", "minRequests": 100}
    for name, weight in (("canary", 5), ("quarter", 25), ("half", 50))
]
_PASSES: Final = 200


@dataclass
class CountedWorld(World):
    """A world whose pods count features, too; `pods` by model."""

    pods: dict[str, list[PodCounts]] = field(default_factory=dict)
    features: int = 50
    reader: ExpositionReader = field(default_factory=ExpositionReader)
    known: ModelDeployment | None = None

    def observed(self) -> Observed:
        """Look at the pods' expositions instead of at single counts."""
        seen = super().observed()
        baselines = {found.digest: found for found in (_baseline(model, self.features) for model in self.pods)}
        profiles = tuple(
            self.reader.read(f"pod-{model}-{number}", counts.render().encode(), baselines).counts
            for model, pods in self.pods.items()
            for number, counts in enumerate(pods)
        )
        uids = frozenset(profile.pod_uid for profile in profiles)
        if self.known != seen.mdep:
            # As in the operator: what did not change is read once.
            self.known = seen.mdep
        return replace(seen, mdep=self.known, profiles=profiles, baselines=baselines, pod_uids=uids, ledger=self.ledger)

    def answer_all(self, requests: int) -> None:
        """Let the pods answer so many requests, split by the decision that routes now."""
        for share in self.state.traffic:
            pods = self.pods[share.model]
            for counts in pods:
                counts.answer(self.state.traffic_sequence, requests * share.weight / 100 / len(pods))


def decide_pass() -> Figure:
    """Time one decision: 50 features, two pods a model, a contest in its third stage, new counts in every pass."""
    world = _world(features=50, pods=2, challengers=[{"name": "v2", "modelRef": {"name": "b"}}])
    for _ in _STAGES:
        world.answer_all(4000)
        world.wait(20)
    (contest,) = world.state.contests
    assert contest.stage == "half", contest
    took = []
    for _ in range(_PASSES):
        world.now += timedelta(seconds=1)
        world.answer_all(40)
        observed = world.observed()
        began = time.perf_counter()
        plan = decide(observed, RULES)
        took.append((time.perf_counter() - began) * 1000)
        assert plan.record is None, plan.record
        world.ledger = plan.ledger or world.ledger
    return figure("decide, 50 features, third stage", statistics.median(took), p99=sorted(took)[-3], passes=_PASSES)


def ledger_size(*, features: int = 1000, pods: int = 20, restarts: int = 50) -> Figure:
    """Grow a ledger: by pods that are restarted each between two looks, until all windows are full."""
    world = _world(features=features, pods=pods)
    for restart in range(restarts):
        # 200 hours fill the slots of the longest windows, the rest those of the shortest.
        world.now += timedelta(hours=5) if restart < restarts - 10 else timedelta(minutes=8)
        world.pods = {"a": _pods("a", pods, features=features, started=restart)}
        world.answer_all(1_000_000 + 7919 * restart)
        world.step()
    body = ledger_config_map(world.deployment, world.ledger)
    size = len(json.dumps(body, separators=(",", ":")).encode())
    return figure("ledger, 1,000 features × 20 pods × 50", size / 1024)


def _world(*, features: int, pods: int, **spec: object) -> CountedWorld:
    models = {}
    for letter in ("a", "b"):
        digest = _digest(baseline_document(letter, features=features))
        models[letter] = a_model(letter, letter, baseline={"uri": f"file:///m/{letter}.json", "digest": digest})
    stages = {"stages": _STAGES, "promotion": "Never"}
    names = ["a", "b"] if spec else ["a"]
    counted = {name: _pods(name, pods, features=features, started=0) for name in names}
    world = CountedWorld(a_spec(contest=stages, **spec), models, pods=counted, features=features)
    world.settle()
    return world


def _pods(model: str, count: int, *, features: int, started: int) -> list[PodCounts]:
    baseline = _digest(baseline_document(model, features=features))
    digest = f"sha256:{model * 64}"
    info = f'model="{model}",model_digest="{digest}",baseline_digest="{baseline}",pod="pod"'
    begin = 1_700_000_000 + started
    return [PodCounts(info=info, features=features, started=begin, seed=begin + n) for n in range(count)]


@cache
def _baseline(model: str, features: int) -> Baseline:
    content = baseline_document(model, features=features)
    return read_baseline(content, digest=_digest(content))


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
