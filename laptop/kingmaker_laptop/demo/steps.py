"""The six steps of the demo, in the order in which a person watches them."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, Final

from kingmaker_laptop.demo.errors import DemoError
from kingmaker_laptop.demo.narration import condition, observed_errors
from kingmaker_laptop.demo.population import BROKEN_FACTOR, BROKEN_FEATURE, RULE_FEATURE, World
from kingmaker_laptop.demo.stage import DEPLOYMENT, NAMESPACE, Stage, View
from kingmaker_laptop.demo.tally import Tally

CHAMPION: Final = "screening-1"
CHALLENGER: Final = "screening-2"
HOTFIX: Final = "screening-hotfix"
RETRAINED: Final = "screening-r1"
RELEARNT: Final = "screening-r2"

REQUESTS_PER_SECOND: Final = 60.0

_BROKEN_SECONDS: Final = 15.0
"""How long the unit stays broken after it was noticed: a whole window, so that drift would be seen too."""


@dataclass(frozen=True, slots=True)
class Props:
    """Files of the demo: the example's sources, and what was built from them."""

    example: Path
    built: Path

    @property
    def fresh(self) -> Path:
        """Labelled rows of the last seconds, as a data platform would have them."""
        return self.built / "fresh.csv"

    def model(self, name: str) -> str:
        """Give the manifest of a built model."""
        return (self.built / name / "model.yaml").read_text()

    def deployment(self) -> str:
        """Give the ModelDeployment, its places filled in."""
        places = {
            "python": sys.executable,
            "trainer": str(self.example / "train.py"),
            "fresh": str(self.fresh),
            "output": (self.built / "retrained").as_uri(),
        }
        return Template((self.example / "deployment.yaml.in").read_text()).substitute(places)


async def seat_champion(stage: Stage, props: Props) -> None:
    """Step 1: a weak champion takes the seat and answers."""
    stage.screen.heading("1  A champion takes the seat")
    stage.screen.note("A decision stump that asks one question about one measurement: weak on purpose.")
    await stage.place.kubectl("create", "namespace", NAMESPACE)
    await _apply(stage, props.model(CHAMPION))
    await _apply(stage, props.deployment())
    await stage.wait(f"Model {CHAMPION} verified", lambda view: _is_ready(view, CHAMPION), seconds=60)
    artifact = stage.view.models[CHAMPION]["status"].get("artifact", {})
    stage.say(f"Model {CHAMPION} verified: {artifact.get('sizeBytes')} bytes, {artifact.get('digest', '')[:19]}...")
    await stage.wait(f"{DEPLOYMENT} Ready", lambda view: view.is_true("Ready"), seconds=90)
    url = await stage.place.url(NAMESPACE, DEPLOYMENT)
    stage.traffic = await stage.place.start_traffic(
        url=url, model=DEPLOYMENT, rate=REQUESTS_PER_SECOND, rows=props.built, fresh=props.fresh
    )
    load = stage.load
    await stage.wait("labelled answers", lambda _: load.report["labelledRows"].get(CHAMPION, 0) >= 100, seconds=30)
    stage.say(f"Ready at {url}/v2/models/{DEPLOYMENT}/infer")
    errors = observed_errors(load.report, _NOTHING, CHAMPION)
    stage.screen.evidence(f"{load.report['answered']} answers so far; {errors}")


async def promote_better(stage: Stage, props: Props) -> None:
    """Step 2: a better model enters by its label and wins."""
    stage.screen.heading("2  A better challenger: shadow, canary, half, promoted")
    stage.screen.note("kubectl apply of a Model is all: its label enrols it. Labels arrive 1 to 3 seconds late.")
    await _apply(stage, props.model(CHALLENGER))
    await stage.wait(f"{CHALLENGER} promoted", lambda view: view.champion == CHALLENGER, seconds=90)
    await _settle(stage)


async def roll_back_harmful(stage: Stage, props: Props) -> None:
    """Step 3: somebody gives a hotfix a fifth of the traffic; it does harm."""
    stage.screen.heading("3  A harmful hotfix, straight into 20% of the traffic")
    stage.screen.note("It loads, passes its own examples and is as fast as the champion. Only labels can tell.")
    before, report = stage.view.sequence, stage.load.report
    await _apply(stage, props.model(HOTFIX))
    challenger = {"name": "hotfix", "modelRef": {"name": HOTFIX}, "weight": 20}
    await _patch(stage, {"spec": {"challengers": [challenger]}})
    await stage.wait(f"{HOTFIX} rolled back", lambda view: view.has("Rollback", about=HOTFIX, after=before), seconds=60)
    stage.screen.evidence(f"the clients saw of {HOTFIX}: {observed_errors(stage.load.report, report, HOTFIX)}")
    await _patch(stage, {"spec": {"challengers": []}})
    await _settle(stage)


async def break_unit(stage: Stage) -> None:
    """Step 4: one feature arrives in another unit: no reason to train anything."""
    stage.screen.heading("4  A unit breaks: no retraining")
    stage.screen.note(f"From now on {BROKEN_FEATURE!r} arrives times {BROKEN_FACTOR:g}: micrometres for millimetres.")
    before = stage.view.sequence
    await stage.load.change_world(World.BROKEN_UNIT)
    view = await stage.wait(
        "DataQualityBroken, and retraining skipped",
        lambda view: view.is_true("DataQualityBroken") and view.has("SkipRetraining", after=before),
        seconds=60,
    )
    broken = condition(view.deployment, "DataQualityBroken")
    stage.say(f"DataQualityBroken=True ({broken['reason']}): {broken['message']}", good=False)
    mended = stage.seconds + _BROKEN_SECONDS
    await stage.wait("a while of broken data", lambda _: stage.seconds >= mended, seconds=60)
    await stage.load.change_world(World.NORMAL)
    stage.say("The unit is mended at the source.")
    await stage.wait(
        "data quality good again",
        lambda view: not view.is_true("DataQualityBroken") and not view.is_true("ModelDriftDetected"),
        seconds=60,
    )
    if stage.view.has("Retrain", after=before):
        raise DemoError("a model was retrained on broken data")
    stage.say("DataQualityBroken=False. Nothing was retrained.", good=True)


async def retrain_after_shift(stage: Stage) -> None:
    """Step 5: the population really changes; a model is trained, judged, promoted."""
    stage.screen.heading("5  A real shift: drift, retraining, contest, promotion")
    stage.screen.note("A new scanner reads ten measurements higher, all within range. The old boundary is wrong now.")
    before, report = stage.view.sequence, stage.load.report
    await stage.load.change_world(World.SHIFTED)
    view = await stage.wait("drift, and a retraining run", lambda view: view.has("Retrain", after=before), seconds=120)
    drift = condition(view.deployment, "ModelDriftDetected")
    stage.say(f"ModelDriftDetected={drift.get('status')} ({drift.get('reason')}): {drift.get('message')}")
    stage.screen.evidence(f"{CHALLENGER} since the shift: {observed_errors(stage.load.report, report, CHALLENGER)}")
    await stage.wait(f"Model {RETRAINED} verified", lambda view: _is_ready(view, RETRAINED), seconds=60)
    lineage = stage.view.models[RETRAINED]["spec"].get("lineage", {})
    rows = sum(data.get("rows", 0) for data in lineage.get("trainingData", ()))
    parent = lineage.get("parentRef", {}).get("name")
    stage.say(f"Model {RETRAINED} trained on {rows} fresh rows, child of {parent}, verified")
    report = stage.load.report
    await stage.wait(f"{RETRAINED} promoted", lambda view: view.champion == RETRAINED, seconds=90)
    await _settle(stage)
    stage.screen.evidence(f"{RETRAINED} on shifted data: {observed_errors(stage.load.report, report, RETRAINED)}")
    # The trainer saw few rows: what they don't show is Unknown, not False.
    await stage.wait("no drift any more", lambda view: not view.is_true("ModelDriftDetected"), seconds=60)
    told = condition(stage.view.deployment, "ModelDriftDetected").get("status")
    stage.say(f"ModelDriftDetected={told}: the shifted data is what the new champion was trained on", good=True)


async def retrain_by_labels(stage: Stage) -> None:
    """Step 6: what is right changes while the data stays as it is; labels alone can tell."""
    stage.screen.heading("6  What is right changes: labels tell, retraining follows them")
    stage.screen.note(f"Coarse {RULE_FEATURE!r} counts as malignant from now on. No row looks different.")
    before, report = stage.view.sequence, stage.load.report
    await _patch(stage, {"spec": {"retraining": {"triggers": ["Drift", "Performance"]}}})
    await stage.load.change_world(World.NEW_RULE)
    view = await stage.wait("errors, and a retraining run", lambda view: view.has("Retrain", after=before), seconds=90)
    told = condition(view.deployment, "ModelPerformanceDegraded")
    stage.say(f"ModelPerformanceDegraded={told.get('status')} ({told.get('reason')}): {told.get('message')}")
    stage.screen.evidence(f"{RETRAINED} by the new rule: {observed_errors(stage.load.report, report, RETRAINED)}")
    stage.say(f"ModelDriftDetected={condition(view.deployment, 'ModelDriftDetected').get('status')}: no row moved")
    await stage.wait(f"Model {RELEARNT} verified", lambda view: _is_ready(view, RELEARNT), seconds=60)
    report = stage.load.report
    await stage.wait(f"{RELEARNT} promoted", lambda view: view.champion == RELEARNT, seconds=90)
    await _settle(stage)
    stage.screen.evidence(f"{RELEARNT} by the new rule: {observed_errors(stage.load.report, report, RELEARNT)}")


async def label_late(stage: Stage) -> None:
    """Labels of the first requests arrive, long after the pods that answered them."""
    kept = stage.load.report["labelsKept"]
    await stage.wait(f"{CHAMPION} gone", lambda view: all(v["name"] != CHAMPION for v in view.variants), seconds=60)
    await stage.load.send_late_labels()
    await stage.wait("late labels taken", lambda _: stage.load.report["labelsLate"] == kept, seconds=30)
    stage.say(f"Labels of the first {kept} requests arrive now, and all of them count", good=True)
    stage.screen.evidence(f"{CHAMPION} answered them, whose pods are gone: what a label needs is in the request's id")


async def _apply(stage: Stage, manifest: str) -> None:
    await stage.place.kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=manifest)


async def _patch(stage: Stage, change: dict[str, Any]) -> None:
    await stage.place.kubectl(
        "patch", "modeldeployment", DEPLOYMENT, "-n", NAMESPACE, "--type=merge", f"--patch={json.dumps(change)}"
    )


async def _settle(stage: Stage) -> None:
    """Wait until traffic is as decided and nobody answers beside the champion: steps shall not run into each other."""
    await stage.wait("traffic settled", lambda view: view.is_true("Ready") and _is_alone(view), seconds=60)


def _is_alone(view: View) -> bool:
    """Whether the old champion, if there was one, is retired."""
    return "previousChampion" not in view.status


def _is_ready(view: View, model: str) -> bool:
    found = view.models.get(model, {})
    stalled = condition(found, "Stalled")
    if stalled.get("status") == "True":
        raise DemoError(f"Model {model} is {stalled['reason']}: {stalled['message']}")
    return condition(found, "Ready").get("status") == "True"


_NOTHING: Final = Tally().report()
