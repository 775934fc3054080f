"""Laptop clusters that are ended after the test, whatever it did."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.laptop import Laptop


@pytest.fixture
def new_laptop(tmp_path: Path) -> Iterator[Callable[..., Laptop]]:
    """Gives laptops that nobody started yet."""
    given: list[Laptop] = []

    def give(without: str = "crds,operator") -> Laptop:
        given.append(Laptop(tmp_path / f"laptop-{len(given)}", without))
        return given[-1]

    yield give
    for laptop in given:
        laptop.down()
        shutil.rmtree(laptop.folder, ignore_errors=True)


@pytest.fixture
def laptop(new_laptop: Callable[..., Laptop]) -> Laptop:
    """One laptop with control plane and node."""
    return new_laptop()
