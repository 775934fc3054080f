"""What holds for every test, and for the workers of a run."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.workermanage import WorkerController

from support.controlplane import ControlPlane, running_control_plane
from support.rooms import Keeper, RoomScheduling, begins

# How long an example takes says how busy the machine is; what must not take long has a test of its own.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

KEEPER = pytest.StashKey[Keeper]()


def _control_plane() -> AbstractContextManager[ControlPlane]:
    return running_control_plane(Path(tempfile.mkdtemp(prefix="kingmaker-plane-")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=begins)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> RoomScheduling | None:
    """With `--dist loadfile`, keep rooms together."""
    return RoomScheduling(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Tell a worker where what all of them share is had."""
    stash = node.config.stash
    if KEEPER not in stash:
        stash[KEEPER] = Keeper(Path(tempfile.mkdtemp(prefix="kingmaker-tests-")), {"control plane": _control_plane})
    node.workerinput["keeper"] = stash[KEEPER].address


def pytest_unconfigure(config: pytest.Config) -> None:
    if keeper := config.stash.get(KEEPER, None):
        keeper.close()
        shutil.rmtree(Path(keeper.address).parent, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> Iterator[None]:
    """Let programs that tests start be interrupted: a shell's background job ignores SIGINT, and so do its children."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
