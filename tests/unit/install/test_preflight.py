"""What is missing on a machine is said in one sentence, before anything is installed."""

import ast
from pathlib import Path

import pytest

import preflight

FOLDER = Path("/home/somebody/kingmaker")
LOCK = """\
first==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
first-of-all==2.0 ; sys_platform == 'linux' \\
    --hash=sha256:cc
"""
RETRYING = "WARNING: Retrying (Retry(total=0)) after connection broken by "
REFUSED = "NewConnectionError('<a.B object at 0x7f>: Failed to establish a new connection: [Errno 111] refused')"
NO_INDEX = "pip can't reach its index"


def test_an_older_python_can_read_the_scripts() -> None:
    for path in Path(preflight.__file__).parent.glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 7))


@pytest.mark.parametrize(("version", "fine"), [((3, 8), False), ((3, 10), False), ((3, 11), True), ((3, 20), True)])
def test_python_must_be_new_enough(version: tuple[int, int], fine: bool) -> None:
    problem = preflight.python_problem(version)
    assert (problem is None) is fine
    if problem:
        assert f"Python 3.11 or newer is needed, this is 3.{version[1]}" in problem
        assert "make setup PYTHON=" in problem


def test_the_package_that_has_the_missing_module_is_named() -> None:
    assert preflight.venv_problem((3, 11)) is None
    problem = preflight.venv_problem((3, 12), find=lambda name: None if name == "ensurepip" else object())
    assert problem is not None
    assert "`ensurepip`" in problem
    assert "apt install python3.12-venv" in problem


def test_a_full_disk_and_a_foreign_folder_are_told_before() -> None:
    assert preflight.folder_problem(FOLDER, preflight.NEEDED_BYTES, writable=True) is None
    full = preflight.folder_problem(FOLDER, 300_000_000, writable=True)
    assert full == f"{FOLDER} has 0.3 GB left on its disk and 2 GB are needed: free some space"
    assert "can't be written" in str(preflight.folder_problem(FOLDER, preflight.NEEDED_BYTES, writable=False))


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        (
            f"{RETRYING}'{REFUSED}': /simple/idna/\nERROR: No matching distribution found for idna==3.20",
            f"{NO_INDEX} (Failed to establish a new connection: [Errno 111] refused)",
        ),
        (
            f"{RETRYING}'ProxyError('Cannot connect to proxy.', {REFUSED})': /simple/idna/",
            f"{NO_INDEX} (Failed to establish a new connection: [Errno 111] refused)",
        ),
        (f"{RETRYING}'SSLError(1, 'self signed')': /simple/idna/", f"{NO_INDEX} ('SSLError(1, 'self signed)"),
        ("ERROR: No matching distribution found for numpy==2.4.6", "no numpy==2.4.6 for Python 3.19"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "not the locked one"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "is full"),
        ("something\nERROR: Never seen before.\n", "pip failed: ERROR: Never seen before."),
        ("", "pip failed: without a word"),
    ],
)
def test_what_pip_says_becomes_a_sentence(output: str, sentence: str) -> None:
    said = preflight.explain_pip(output, (3, 19))
    assert sentence in said
    assert "\n" not in said


def test_an_entry_of_the_lock_has_its_hashes_and_nothing_else() -> None:
    assert preflight.find_entry(LOCK, "first").splitlines() == LOCK.splitlines()[:3]
    assert preflight.find_entry(LOCK, "first-of-all").splitlines() == LOCK.splitlines()[3:]
    with pytest.raises(ValueError, match="nothing is not locked"):
        preflight.find_entry(LOCK, "nothing")
