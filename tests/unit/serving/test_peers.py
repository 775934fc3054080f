"""Whom labels may be passed on to, and what is made of what they say."""

import json
from pathlib import Path
from typing import Any

import pytest

from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.labels.peers import PATIENCE_SECONDS, ForgottenError, Peers
from kingmaker_serving.labels.targets import TargetsFile

PORT = 8082


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Named:
    """Peers, and the file that names them."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.path = path
        self.file = TargetsFile(path)
        session: Any = None  # nothing is sent here
        self.peers = Peers(self.file, session, own="10.0.0.9", port=PORT, clock=self.clock)

    def name(self, *addresses: str, **extra: Any) -> None:
        content = {"decision": 1, "champion": "a", "peers": {"a": addresses}, **extra}
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(content))
        partial.replace(self.path)
        self.file.refresh()

    def verdict(self, address: str) -> str:
        """`send`, `wait` or `forget`."""
        try:
            self.peers.check(address)
        except ForgottenError:
            return "forget"
        except ServingError as error:
            return "wait" if (error.code, error.retry_seconds) == (ErrorCode.NOT_READY, 10) else str(error)
        return "send"


@pytest.fixture
def named(tmp_path: Path) -> Named:
    return Named(tmp_path / "targets.json")


def test_only_who_was_named_gets_labels(named: Named) -> None:
    named.name("10.0.0.1", "10.0.0.2", "fd00::0:1")
    assert named.verdict("10.0.0.2") == "send"
    assert named.verdict("fd00::1") == "send"
    assert named.verdict("10.0.0.3") == "wait"
    assert named.verdict("169.254.169.254") == "wait"


def test_labels_for_a_pod_that_was_not_named_yet_are_tried_again_for_some_minutes(named: Named) -> None:
    assert named.verdict("10.0.0.1") == "wait"
    named.clock.now = PATIENCE_SECONDS - 1
    assert named.verdict("10.0.0.1") == "wait"
    named.name("10.0.0.1")
    assert named.verdict("10.0.0.1") == "send"
    named.clock.now = PATIENCE_SECONDS + 1
    assert named.verdict("10.0.0.2") == "wait"
    named.clock.now = 2 * PATIENCE_SECONDS + 2
    assert named.verdict("10.0.0.2") == "forget"


def test_a_pod_that_is_named_no_more_is_gone(named: Named) -> None:
    named.name("10.0.0.1", "10.0.0.2")
    assert named.verdict("10.0.0.1") == "send"
    named.name("10.0.0.2")
    assert named.verdict("10.0.0.1") == "forget"
    named.name("10.0.0.1", "10.0.0.2")
    assert named.verdict("10.0.0.1") == "send"


def test_a_file_without_peers_names_nobody(named: Named) -> None:
    named.path.write_text('{"decision": 1, "champion": "a"}')
    named.file.refresh()
    assert named.verdict("10.0.0.1") == "wait"


@pytest.mark.parametrize("address", ["", "localhost", "10.0.0.1:80", "http://10.0.0.1"])
def test_names_that_are_no_addresses_leave_the_file_before_in_force(named: Named, address: str) -> None:
    named.name("10.0.0.1")
    named.name(address)
    assert named.verdict("10.0.0.1") == "send"


def test_without_a_file_there_is_nobody() -> None:
    session: Any = None
    with pytest.raises(ForgottenError, match="knows no other"):
        Peers(None, session, own="10.0.0.9", port=PORT).check("10.0.0.1")
