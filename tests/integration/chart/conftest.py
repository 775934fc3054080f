"""The chart on control planes of its own: definitions and policies are the whole cluster's; Helm wants to own them."""

from collections.abc import Iterator

import pytest

from support.team import Team, installed_team


@pytest.fixture(scope="session")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """The chart installed for one namespace, with people in it."""
    with installed_team(tmp_path_factory.mktemp("team")) as team:
        yield team
