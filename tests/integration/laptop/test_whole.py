"""A laptop with nothing left out: the operator runs, and it may do what the chart says and no more."""

from collections.abc import Callable

from support.controlplane import KINGMAKER
from support.laptop import Laptop, run

OPERATOR = "system:serviceaccount:kingmaker-system:kingmaker"


def test_the_operator_runs_as_its_service_account(new_laptop: Callable[..., Laptop]) -> None:
    laptop = new_laptop(without="")
    up = laptop.up("--operator-arg=--evaluation-interval=1")
    assert up.returncode == 0, up.stderr

    kubeconfig = f"--kubeconfig={laptop.folder}/credentials/operator.kubeconfig"
    assert laptop.kubectl("auth", "whoami", kubeconfig, "-o", "jsonpath={.status.userInfo.username}") == OPERATOR
    assert _may(laptop, kubeconfig, "create", "deployments.apps")
    assert _may(laptop, kubeconfig, "patch", "modeldeployments.kingmaker.dev", "--subresource=status")
    assert not _may(laptop, kubeconfig, "get", "secrets")
    assert not _may(laptop, kubeconfig, "patch", "modeldeployments.kingmaker.dev")
    assert laptop.kubectl("get", "models,modeldeployments,decisions", "-A") == ""

    assert laptop.down().returncode == 0
    assert laptop.processes() == []


def test_a_wrong_operator_argument_is_explained(new_laptop: Callable[..., Laptop]) -> None:
    laptop = new_laptop(without="node")
    failed = laptop.up("--operator-arg=--no-such-flag")
    assert failed.returncode == 1
    assert "unrecognized arguments: --no-such-flag" in failed.stderr
    assert laptop.processes() == []


def _may(laptop: Laptop, kubeconfig: str, *question: str) -> bool:
    command = [*KINGMAKER, "kubectl", "--dir", str(laptop.folder), "--", "auth", "can-i", kubeconfig, *question]
    return run(command).stdout.strip() == "yes"
