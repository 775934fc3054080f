"""The chart on control planes of its own: definitions and policies are the whole cluster's; Helm wants to own them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.audit import Audit, audited_control_plane
from support.helm import CHART, Helm, ensure_helm
from support.loop import USER
from support.team import SYSTEM, TEAM, Team, installed_team


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build Helm where there is none: it takes longer than a test may."""
    if any(Path(__file__).parent in item.path.parents for item in session.items):
        ensure_helm()


@pytest.fixture(scope="session")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """The chart installed for one namespace, with people in it."""
    with installed_team(tmp_path_factory.mktemp("team")) as team:
        yield team


@pytest.fixture(scope="session")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audit]:
    """Another control plane with the chart, which writes down what the operator asks."""
    with audited_control_plane(tmp_path_factory.mktemp("audit"), USER) as audit:
        audit.plane.kubectl("create", "namespace", TEAM)
        helm = Helm(tmp_path_factory.mktemp("helm"), audit.plane.kubeconfig)
        values = {"scope": {"namespaces": [TEAM]}}
        helm.run("install", "kingmaker", str(CHART), "-n", SYSTEM, "--create-namespace", values=values)
        yield audit
