"""What holds for every test."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

# A busy machine makes an example slow; that is no finding.
settings.register_profile("kingmaker", deadline=None)
settings.load_profile("kingmaker")


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> Iterator[None]:
    """Let programs that tests start be interrupted: a shell's background job ignores SIGINT, and so do its children."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
