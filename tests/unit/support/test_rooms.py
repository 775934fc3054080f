"""What goes to one worker together, and what is started once for all of them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.rooms import Keeper, ask, room

API = "tests/integration/api/test_objects.py"


@pytest.mark.parametrize(
    ("nodeid", "expected"),
    [
        (f"{API}::test_a[x::y]", API),
        ("tests/integration/operator/test_serving.py::test_b", "operator"),
        ("tests/integration/operator/test_autoscaling.py::test_c", "autoscaling"),
        ("tests/integration/node/test_proxy.py::test_d", "node"),
    ],
)
def test_a_file_is_a_room_unless_it_shares_one(nodeid: str, expected: str) -> None:
    assert room(nodeid) == expected


def test_a_thing_is_started_once_for_all_who_ask_and_ends_with_the_keeper(tmp_path: Path) -> None:
    told: list[str] = []

    @contextmanager
    def thing() -> Iterator[str]:
        told.append("started")
        yield "here"
        told.append("ended")

    @contextmanager
    def broken() -> Iterator[str]:
        raise OSError("no room on the disk")
        yield ""

    keeper = Keeper(tmp_path, {"thing": thing, "broken": broken})
    answers: list[str] = []
    asking = [threading.Thread(target=lambda: answers.append(ask(keeper.address, "thing"))) for _ in range(3)]
    for one in asking:
        one.start()
    for one in asking:
        one.join(10)
    assert (answers, told) == (["here"] * 3, ["started"])
    with pytest.raises(OSError, match="no room on the disk"):
        ask(keeper.address, "broken")
    keeper.close()
    assert told == ["started", "ended"]
