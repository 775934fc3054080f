"""What somebody can do who took over a pod, or who may write Models and ModelDeployments: docs/security.md, held
against packets, processes and the API server.

Who is in a container can do what `kubectl exec` can do in it, so that is where everything begins here.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import enforcer
from support.clients import Clients, StoredProps
from support.cluster import Cluster, Document, KubectlError, wait_until
from support.reach import ROWS, found, promised, table
from support.release import Images, Release
from support.scene import AWAY, HOME, PLAIN, Scene
from support.store import CREDENTIALS

POLICY = "default-deny-of-a-test"
MODELLER = "modeller-of-a-test"
SECONDS = 60.0
"""Within which networks follow what the API server says."""


@pytest.fixture(scope="module")
def scene(cluster: Cluster, release: Release, clients: Clients, images: Images, built: Path) -> Iterator[Scene]:
    del release, clients
    scene = Scene(cluster, images, StoredProps(Path(), built, images.training))
    scene.build()
    yield scene
    scene.clear()


@pytest.fixture(scope="module")
def enforced(scene: Scene) -> Iterator[None]:
    """A cluster that enforces NetworkPolicies, by itself or with the enforcer of the tests."""
    scene.cluster.apply(policy())
    try:
        if reaches(scene, wanted=False, seconds=10):
            yield
        elif os.environ.get("KINGMAKER_TEST_POLICIES") == "nftables":
            with subprocess.Popen([sys.executable, "-m", enforcer.__name__], cwd=Path(__file__).parents[1]) as process:
                yield
                process.terminate()
        else:
            pytest.skip("this cluster's network enforces no NetworkPolicies; docs/testing.md says how tests can")
    finally:
        scene.cluster.kubectl("delete", "networkpolicy", POLICY, "-n", HOME, "--ignore-not-found")


def policy(*ingress: Document) -> Document:
    """Shut the tenant's own pod to all but some."""
    spec = {"podSelector": {"matchLabels": {"app": PLAIN}}, "policyTypes": ["Ingress"], "ingress": list(ingress)}
    metadata = {"name": POLICY, "namespace": HOME}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def reaches(scene: Scene, *, wanted: bool, seconds: float = SECONDS) -> bool:
    """Whether the other tenant's pod comes to reach this one's, or not to, in time."""
    target = {"tenant-pod": scene.targets()["tenant-pod"]}
    other = scene.places()["other"]
    try:
        return wait_until("it", lambda: other.reaches(target)["tenant-pod"] is wanted, seconds=seconds)
    except AssertionError:
        return False


@pytest.mark.timeout(300)
def test_a_policy_shuts_opens_and_is_gone_when_deleted(scene: Scene, enforced: None) -> None:
    del enforced
    scene.cluster.apply(policy())
    assert reaches(scene, wanted=False), "a policy without rules lets others in"
    scene.cluster.apply(
        policy({"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": AWAY}}}]})
    )
    assert reaches(scene, wanted=True), "a policy that lets a namespace in keeps it out"
    scene.cluster.kubectl("delete", "networkpolicy", POLICY, "-n", HOME)
    assert reaches(scene, wanted=True), "a policy that is gone keeps somebody out"


@pytest.mark.timeout(300)
def test_a_taken_over_pod_reaches_what_the_page_promises_and_nothing_else(scene: Scene, enforced: None) -> None:
    del enforced
    scene.cluster.kubectl("delete", "networkpolicy", POLICY, "-n", HOME, "--ignore-not-found")
    expected = table(promised(without={row.target for row in ROWS} - scene.targets().keys()))
    seen: list[str] = []

    def is_as_promised() -> bool:
        seen.append(table(found(scene.probe_all())))
        return seen[-1] == expected

    try:
        wait_until("the network follows the policies", is_as_promised, seconds=SECONDS)
    except AssertionError:
        pytest.fail(f"found:\n{seen[-1]}\npromised:\n{expected}")
    print(f"\n{seen[-1]}")


@pytest.mark.timeout(300)
def test_clients_in_other_namespaces_are_answered_through_the_router(scene: Scene, enforced: None) -> None:
    del enforced
    ask = f"import urllib.request as u; print(u.urlopen('http://first.{HOME}/v2/models/first', timeout=5).status)"
    answer = wait_until(
        "first answers", lambda: scene.cluster.execute(AWAY, PLAIN, "python", "-c", ask).strip(), seconds=SECONDS
    )
    assert answer == "200"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("source", ["server", "verify", "train", "router"])
def test_a_taken_over_container_can_change_nothing_but_its_own_scratch(scene: Scene, source: str) -> None:
    inside = scene.places()[source].look_around()
    assert inside.status == {"Uid": "65532", "CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"}
    assert not inside.has_token
    # Shared memory and the last words are every container's own.
    own = {"/dev/mqueue", "/dev/shm", "/dev/termination-log", "/run/kingmaker/scratch"}
    assert inside.writable - own == ({"/mnt/model"} if source == "verify" else set())
    assert {"server": "serve", "verify": "fetch", "train": "sleep", "router": "envoy"}[source] in inside.first_process


@pytest.mark.timeout(300)
def test_credentials_are_in_the_container_that_downloads_alone(scene: Scene) -> None:
    key = CREDENTIALS["AWS_SECRET_ACCESS_KEY"]
    holders = {source for source, place in scene.places().items() if key in place.look_around().environment}
    assert holders == {"verify"}


def test_the_account_of_workloads_may_do_no_more_than_anybody(scene: Scene) -> None:
    def rights(account: str) -> str:
        user = f"--as=system:serviceaccount:{HOME}:{account}"
        return scene.cluster.kubectl("auth", "can-i", "--list", user, "-n", HOME)

    assert rights("kingmaker-workload") == rights("nobody-made-this-one")


@pytest.fixture(scope="module")
def modeller(scene: Scene) -> Iterator[str]:
    """Somebody who may write Models and ModelDeployments of one namespace, and nothing else."""
    kinds = [("view", "kingmaker-view"), ("edit", "kingmaker-edit")]
    for name, role in kinds:
        binding = ("create", "rolebinding", f"{MODELLER}-{name}", f"--clusterrole={role}", f"--user={MODELLER}")
        scene.cluster.kubectl(*binding, "-n", HOME)
    yield f"--as={MODELLER}"
    scene.cluster.kubectl("delete", "rolebinding", *(f"{MODELLER}-{name}" for name, _ in kinds), "-n", HOME)


@pytest.mark.parametrize(
    ("verb", "resource", "namespace"),
    [
        ("get", "secrets", HOME),
        ("get", "pods/log", HOME),
        ("create", "pods", HOME),
        ("create", "pods/exec", HOME),
        ("create", "jobs.batch", HOME),
        ("create", "serviceaccounts/token", HOME),
        ("patch", "networkpolicies.networking.k8s.io", HOME),
        ("create", "decisions.kingmaker.dev", HOME),
        ("delete", "decisions.kingmaker.dev", HOME),
        ("patch", "modeldeployments.kingmaker.dev/status", HOME),
        ("create", "rolebindings.rbac.authorization.k8s.io", HOME),
        ("create", "modeldeployments.kingmaker.dev", AWAY),
    ],
)
def test_who_writes_models_may_not(scene: Scene, modeller: str, verb: str, resource: str, namespace: str) -> None:
    kind, _, subresource = resource.partition("/")
    ask = ("auth", "can-i", verb, kind, f"--subresource={subresource}", "-n", namespace)
    with pytest.raises(KubectlError, match="auth can-i"):
        scene.cluster.kubectl(*ask, modeller)
    scene.cluster.kubectl("auth", "can-i", "create", "models.kingmaker.dev", "-n", HOME, modeller)


@pytest.mark.parametrize("wish", ["serving image", "training image", "secret of others"])
def test_who_writes_models_gets_no_further_by_writing(scene: Scene, modeller: str, wish: str) -> None:
    document = scene.wish(wish)
    with pytest.raises(KubectlError, match="ValidatingAdmissionPolicy"):
        scene.cluster.kubectl("create", "--dry-run=server", "-f", "-", modeller, stdin=json.dumps(document))
    scene.cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(document))
