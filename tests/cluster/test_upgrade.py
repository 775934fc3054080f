"""Upgrade and back in the middle of a contest: clients notice nothing, and nothing is decided because of it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from support.clients import Clients
from support.cluster import Cluster, wait_until
from support.release import CHART, NAME, NAMESPACE, TENANTS, Images, Release, helm
from support.seat import CHALLENGER, Seat, taken, told

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def contested(cluster: Cluster, release: Release, clients: Clients, images: Images, built: Path) -> Iterator[Seat]:
    with taken(cluster, "upgrade", built=built, trainer=images.training) as seat:
        seat.change(challengers=[{"name": "b", "modelRef": {"name": CHALLENGER}, "weight": 20}])
        wait_until("the contest is on", lambda: seat.read()["status"].get("traffic") == "80/20", seconds=90)
        seat.wait_ready()
        yield seat


def next_version(folder: Path) -> Path:
    """Make the chart of a following version: another number, and a field more in a CRD."""
    chart = folder / "kingmaker"
    shutil.copytree(CHART, chart)
    head = chart / "Chart.yaml"
    head.write_text(yaml.safe_dump(yaml.safe_load(head.read_text()) | {"version": "0.2.0", "appVersion": "0.2.0"}))
    crd = chart / "crd-bases" / "modeldeployments.yaml"
    definition = yaml.safe_load(crd.read_text())
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"]["properties"]["comment"] = {"type": "string", "maxLength": 100}
    crd.write_text(yaml.safe_dump(definition))
    return chart


def decisions(seat: Seat) -> list[str]:
    return sorted(seat.kubectl("get", "decisions", "-o", "name").split())


def test_there_and_back_in_the_middle_of_a_contest(contested: Seat, release: Release, tmp_path: Path) -> None:
    before = decisions(contested)
    pods = {pod["metadata"]["uid"] for pod in contested.pods()}
    revision = helm("history", NAME, "-n", NAMESPACE, "--max=1", "-o", "yaml")
    number = str(yaml.safe_load(revision)[0]["revision"])

    def is_rolled_over() -> bool:
        return not pods & {pod["metadata"]["uid"] for pod in contested.pods()}

    with contested.load.watched() as window:
        # Another grace for servers and routers changes every pod that there is.
        there = release.install(*TENANTS, chart=next_version(tmp_path), serving={"drainSeconds": 8})
        contested.kubectl("patch", "modeldeployment", "screening", "--type=merge", "-p", '{"spec":{"comment":"new"}}')
        wait_until("servers are rolled over", is_rolled_over, seconds=120)
        contested.wait_ready()
        pods = {pod["metadata"]["uid"] for pod in contested.pods()}
        helm("rollback", NAME, number, "-n", NAMESPACE, "--wait", "--timeout=120s")
        wait_until("servers are rolled back", is_rolled_over, seconds=120)
        contested.wait_ready()
    assert told(f"upgraded in {there:.0f} s, and back", window).failed == 0
    assert window.by_model[CHALLENGER] > 0
    assert contested.read()["status"]["traffic"] == "80/20"
    assert decisions(contested) == before
