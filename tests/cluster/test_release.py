"""What a release says of itself."""

from support.release import NAME, NAMESPACE, Release, helm


def test_helm_test_asks_from_inside(release: Release) -> None:
    said = helm("test", NAME, "-n", NAMESPACE, "--logs", "--timeout=90s")
    print(said)
    assert "Succeeded" in said


def test_two_replicas_run_and_one_of_them_leads(release: Release) -> None:
    names = [pod["metadata"]["name"] for pod in release.operators()]
    assert len(names) == 2
    assert release.leader() in names
