"""What every test with a router needs."""

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from support.routers import loopback_addresses


@pytest.fixture
def addresses() -> Iterator[str]:
    """Loopback addresses that are free."""
    return loopback_addresses()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as session:
        yield session
