"""What is built, for whom, and what a person is told when it can't be."""

import pytest

from kingmaker_laptop.binary import check_platform
from kingmaker_laptop.errors import LocalError
from kingmaker_laptop.gobuild import explain_failure, linker_flags
from kingmaker_laptop.toolchain import parse_version


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26)),
        ("go version go1.27rc1 linux/arm64", (1, 27)),
        ("go version devel +abc", (0, 0)),
        ("", (0, 0)),
    ],
)
def test_the_version_of_go_is_read(printed: str, version: tuple[int, int]) -> None:
    assert parse_version(printed) == version


def test_both_packages_that_know_a_version_are_stamped() -> None:
    flags = linker_flags("v1.36.4")
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        for stamp in ("gitVersion=v1.36.4", "gitMajor=1", "gitMinor=36"):
            assert f"-X {package}.{stamp}" in flags


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("write /tmp/x.a: no space left on device", "the disk is full"),
        ("go: k8s.io/api@v0.36.4: Get proxy: dial tcp: lookup proxy.golang.org: no such host", "GOPROXY"),
        ("k8s.io/api: /go/compile: signal: killed", "memory"),
        ("main.go:3: syntax error", "compare controlplane/"),
    ],
)
def test_a_failed_build_says_what_to_do(said: str, advice: str) -> None:
    message = explain_failure(["go: something before", said])
    assert said in message
    assert advice in message


@pytest.mark.parametrize(("system", "machine"), [("darwin", "arm64"), ("win32", "AMD64"), ("linux", "riscv64")])
def test_other_machines_are_refused_with_a_way_out(system: str, machine: str) -> None:
    with pytest.raises(LocalError, match=r"Linux|x86_64"):
        check_platform(system, machine)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_linux_on_common_processors_is_fine(machine: str) -> None:
    check_platform("linux", machine)
