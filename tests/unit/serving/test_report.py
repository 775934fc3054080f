"""How a verb says how it ended."""

import json
from pathlib import Path
from typing import Any, NoReturn

import pytest

from kingmaker_serving.errors import Reason, VerbError
from kingmaker_serving.report import end


def raising(error: BaseException) -> Any:
    def verb() -> NoReturn:
        raise error

    return verb


def test_the_cause_inside_of_groups_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log"
    error = ExceptionGroup("unhandled errors in a TaskGroup", [ExceptionGroup("inner", [KeyError("kingmaker")])])
    assert end(raising(error), log) == 1
    assert json.loads(log.read_text()) == {"reason": "Internal", "message": "KeyError: 'kingmaker'"}
    assert "Traceback" in capsys.readouterr().err


def test_a_reason_inside_of_a_group_stays_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    error = ExceptionGroup("tasks", [VerbError(Reason.INVALID_MODEL, "no graph")])
    assert end(raising(error), log) == 1
    assert json.loads(log.read_text()) == {"reason": "InvalidModel", "message": "no graph"}
