"""Objects are read again only when they changed."""

import pytest

from kingmaker.api import Model
from kingmaker.snapshots.parsed import Parsed
from support.world import a_model


def test_the_same_body_gives_the_same_value_and_another_one_its_own() -> None:
    parsed = Parsed(Model)
    body = a_model("a", "a").manifest()
    first = parsed.of(body)
    assert parsed.of(body) is first
    changed = parsed.of({**body, "metadata": {**body["metadata"], "generation": 2}})
    assert changed.metadata.generation == 2


def test_what_does_not_fit_is_said_every_time() -> None:
    parsed = Parsed(Model)
    body = a_model("a", "a").manifest()
    parsed.of(body)
    for _ in range(2):
        with pytest.raises(ValueError, match="family"):
            parsed.of({**body, "spec": {}})
