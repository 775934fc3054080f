"""What monitoring lets retraining know: drift that is seen often enough, of sound data, of the present champion."""

from datetime import UTC, datetime, timedelta

import pytest

from kingmaker.api import ModelDeployment
from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.counts.data_monitor import DataMonitor, DriftFinding
from kingmaker.core.counts.windows import Windows
from kingmaker.core.monitoring.drift import DriftVerdict, Severity
from kingmaker.core.monitoring.evaluate import _with_drift, finding_of
from kingmaker.core.state import Champion
from support.world import a_spec

NOW = datetime(2026, 11, 21, tzinfo=UTC)
DRIFTED = DriftVerdict(Severity.DRIFT, (), timedelta(seconds=15), NOW, "")
DIGEST = "sha256:" + "a" * 64


def a_watch(**changes: object) -> DataMonitor:
    baseline = Baseline("sha256:" + "b" * 64, 100, ())
    windows = Windows.for_baseline(None, model=DIGEST, baseline=baseline, scales=[timedelta(seconds=15)], now=NOW)
    return DataMonitor(windows=windows, **changes)  # type: ignore[arg-type]


def a_deployment() -> ModelDeployment:
    template = {"image": "trainer"}
    retraining = {"persistence": {"of": 2, "needed": 2}, "output": {"uriPrefix": "file:///out"}, "template": template}
    body = {"kind": "ModelDeployment", "metadata": {"name": "churn"}, "spec": a_spec(retraining=retraining)}
    return ModelDeployment.parse(body)


def a_seat(digest: str = DIGEST) -> Champion:
    return Champion("a", digest, NOW)


@pytest.mark.parametrize(("broken", "counts"), [((), True), (("mean radius",), False)], ids=["sound", "broken"])
def test_drift_of_broken_data_is_no_step_towards_retraining(broken: tuple[str, ...], counts: bool) -> None:
    seen = _with_drift(a_watch(broken=broken), DRIFTED, NOW)
    assert seen.history == (counts,)


def test_a_new_champion_does_not_inherit_its_predecessors_drift() -> None:
    watch = a_watch(history=(True, True), features=("x",))
    deployment = a_deployment()
    assert finding_of(watch, deployment, a_seat()) == DriftFinding(persistent=True, features=("x",))
    assert finding_of(watch, deployment, a_seat("sha256:" + "c" * 64)) == DriftFinding()
    assert finding_of(watch, deployment, None) == DriftFinding()


def test_nothing_counted_is_no_finding() -> None:
    assert finding_of(DataMonitor(), a_deployment(), a_seat()) == DriftFinding()
