from typing import Any

import pytest

from kingmaker_laptop.node.admission import find_problem, is_replaced_when_failed
from support.pods import a_container, a_pod


@pytest.mark.parametrize(
    ("container", "spec", "message"),
    [
        pytest.param({"command": []}, {}, "image none can't be pulled here; name the command", id="no command"),
        pytest.param({"securityContext": {"privileged": True}}, {}, "privileged", id="privileged"),
        pytest.param({"volumeDevices": [{"name": "d"}]}, {}, "volumeDevices", id="block devices"),
        pytest.param({"restartPolicy": "Always"}, {}, "sidecars", id="sidecar"),
        pytest.param({"ports": [{"containerPort": 80, "hostPort": 80}]}, {}, "hostPort 80", id="host port"),
        pytest.param({"volumeMounts": [{"name": "v", "mountPath": "/"}]}, {}, "mountPath /", id="root mount"),
        pytest.param({}, {"volumes": [{"name": "v", "nfs": {}}]}, "volume v: nfs isn't one of", id="volume type"),
        pytest.param({}, {"os": {"name": "windows"}}, "linux", id="windows"),
        pytest.param({}, {"runtimeClassName": "gvisor"}, "runtimeClassName: gvisor", id="runtime"),
        pytest.param({}, {"resourceClaims": [{"name": "gpu"}]}, "resourceClaims", id="devices"),
    ],
)
def test_what_cannot_be_given_is_said(container: dict[str, Any], spec: dict[str, Any], message: str) -> None:
    problem = find_problem(a_pod(a_container(**container), **spec))
    assert problem is not None
    assert message in problem.message


def test_an_ordinary_pod_is_no_problem() -> None:
    assert find_problem(a_pod(volumes=[{"name": "v", "emptyDir": {}}])) is None


@pytest.mark.parametrize(("kind", "expected"), [("ReplicaSet", True), ("Job", False)])
def test_only_what_a_controller_would_replace_for_ever_waits(kind: str, expected: bool) -> None:
    owned = a_pod(meta={"ownerReferences": [{"kind": kind, "controller": True}]})
    assert is_replaced_when_failed(owned) is expected
    assert not is_replaced_when_failed(a_pod())
