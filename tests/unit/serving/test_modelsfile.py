"""The file of models: one entry that is wrong hurts no other."""

import json
from pathlib import Path
from typing import Any

import pytest

from kingmaker_serving.engine.modelsfile import FORMAT, ModelsFile, read_models
from kingmaker_serving.engine.settings import Limits
from kingmaker_serving.errors import Reason, VerbError

DIGEST = "sha256:" + "0" * 64
LIMITS = Limits(queue=7)


def entry(**fields: Any) -> dict[str, Any]:
    return {"name": "churn", "version": "churn-1", "folder": "churn", "digest": DIGEST} | fields


def document(*entries: Any, **fields: Any) -> bytes:
    return json.dumps({"format": FORMAT, "models": list(entries)} | fields).encode()


def test_a_model_has_its_own_bounds_and_those_of_the_command_line() -> None:
    task = {"type": "Classification", "label": "label"}
    own = {"deadlineSeconds": 2, "maxRows": 5}
    wanted = read_models(document(entry(task=task, limits=own, baselineDigest=DIGEST)), Path("/mnt"), LIMITS)
    (model,) = wanted.models
    assert (model.name, model.version, model.folder) == ("churn", "churn-1", Path("/mnt/churn"))
    assert (model.digests.model, model.digests.baseline, model.digests.examples) == (DIGEST, DIGEST, None)
    assert (model.limits.deadline_seconds, model.limits.max_rows, model.limits.queue) == (2, 5, 7)
    assert model.task is not None
    assert model.task.label == "label"
    assert not wanted.problems


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (entry(name="b", digest="sha256:0"), "digest"),
        (entry(name="b", digset=DIGEST), "unknown field `digset`"),
        (entry(name="b", task={"type": "Regression", "label": "y"}), "needs errorTolerance"),
        (entry(name="b", limits={"queue": 0}), "queue"),
        ({"name": "b"}, "missing required field"),
    ],
)
def test_an_entry_that_is_wrong_is_told_so_and_hurts_no_other(bad: dict[str, Any], words: str) -> None:
    wanted = read_models(document(entry(), bad, entry(name="c")), Path(), LIMITS)
    assert [model.name for model in wanted.models] == ["churn", "c"]
    assert list(wanted.problems) == ["b"]
    assert words in wanted.problems["b"]


@pytest.mark.parametrize(("mark", "name"), [(b"churn-2", "b"), (b'"b"', "models[1]")], ids=["elsewhere", "in its name"])
def test_an_entry_that_is_not_utf8_hurts_no_other(mark: bytes, name: str) -> None:
    good = document(entry(), entry(name="b", version="churn-2"))
    wanted = read_models(good.replace(mark, mark[:-1] + b"\xee" + mark[-1:]), Path(), LIMITS)
    assert [model.name for model in wanted.models] == ["churn"]
    assert list(wanted.problems) == [name]


def test_a_name_that_is_there_twice_is_served_by_neither() -> None:
    wanted = read_models(document(entry(), entry(version="churn-2"), 5), Path(), LIMITS)
    assert wanted.models == ()
    assert set(wanted.problems) == {"churn", "models[2]"}


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", document(format="v2"), b'{"format": 5}', b"[" * 5000])
def test_what_is_no_such_document_is_refused(content: bytes) -> None:
    with pytest.raises(VerbError) as caught:
        read_models(content, Path(), LIMITS)
    assert caught.value.reason is Reason.INVALID_MODELS


def test_a_file_is_read_again_when_it_changes_and_keeps_the_last_good_one(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    with pytest.raises(VerbError, match="No such file"):
        ModelsFile(path, LIMITS).read()
    path.write_bytes(document(entry()))
    file = ModelsFile(path, LIMITS)
    assert len(file.read().models) == 1
    assert file.changed() is None
    replaced = tmp_path / "other"
    replaced.write_bytes(document(entry(), entry(name="b")))
    replaced.replace(path)
    changed = file.changed()
    assert changed is not None
    assert len(changed.models) == 2
    path.write_bytes(b"{")
    assert file.changed() is None
    path.unlink()
    assert file.changed() is None
