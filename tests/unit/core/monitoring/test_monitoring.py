"""What monitoring lets retraining know: drift that is seen often enough, of sound data, of the present champion."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kingmaker.api import ModelDeployment
from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.counts.data_monitor import DataMonitor, DriftFinding
from kingmaker.core.counts.findings import Evidence, Severity, WindowFinding, persisted
from kingmaker.core.counts.windows import Windows
from kingmaker.core.monitoring.evaluate import finding_of
from kingmaker.core.state import Champion
from support.world import a_spec

NOW = datetime(2026, 11, 21, tzinfo=UTC)
LENGTH = timedelta(hours=24)
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


def evidence(*drifted: bool) -> Evidence:
    return Evidence(LENGTH, NOW, drifted)


@pytest.mark.parametrize(
    ("hours", "severity", "counts"),
    [
        (0, Severity.DRIFT, False),
        (8, Severity.DRIFT, False),
        (16, Severity.UNKNOWN, False),
        (16, Severity.DRIFT, True),
        (16, Severity.NONE, True),
    ],
    ids=["the same window", "mostly the same rows", "nothing said", "new rows", "sound new rows"],
)
def test_only_new_evidence_counts(hours: int, severity: Severity, counts: bool) -> None:
    finding = WindowFinding(LENGTH, NOW + timedelta(hours=hours), severity)
    after = evidence(True).with_finding(finding, drifted=severity.is_drift, most=50)
    assert after.history == ((True, severity.is_drift) if counts else (True,))
    assert after.until == (finding.until if counts else NOW)


def test_only_so_much_is_remembered() -> None:
    known = evidence()
    for day in range(1, 100):
        finding = WindowFinding(LENGTH, NOW + day * LENGTH, Severity.DRIFT)
        known = known.with_finding(finding, drifted=True, most=50)
    assert len(known.history) == 50


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], False),
        ([True], False),
        ([True, True], True),
        ([True, False, True], True),
        ([True, True, False, False], False),
    ],
)
def test_two_of_three_evaluations_persist(history: list[bool], expected: bool) -> None:
    assert persisted(history, of=3, needed=2) is expected
    assert persisted(history, of=0, needed=1) is False


def test_windows_of_one_length_persist_whatever_the_others_say() -> None:
    hourly = Evidence(timedelta(hours=1), NOW, (False,) * 30)
    watch = a_watch(evidence=(hourly, evidence(False, True, True)), features=("x",))
    assert finding_of(watch, a_deployment(), a_seat()).persistent
    watch = a_watch(evidence=(replace(hourly, history=(False, True)), evidence(False, True)), features=("x",))
    assert not finding_of(watch, a_deployment(), a_seat()).persistent


def test_a_new_champion_does_not_inherit_its_predecessors_drift() -> None:
    watch = a_watch(evidence=(evidence(True, True),), features=("x",))
    deployment = a_deployment()
    assert finding_of(watch, deployment, a_seat()) == DriftFinding(persistent=True, features=("x",))
    assert finding_of(watch, deployment, a_seat("sha256:" + "c" * 64)) == DriftFinding()
    assert finding_of(watch, deployment, None) == DriftFinding()


def test_nothing_counted_is_no_finding() -> None:
    assert finding_of(DataMonitor(), a_deployment(), a_seat()) == DriftFinding()
