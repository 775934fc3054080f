"""Text models change the case of letters as a locale does, which the system must have."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from kingmaker_serving.errors import Reason, VerbError
from kingmaker_serving.models.session import ModelSession, Stop
from support.locales import with_locale, without_locale
from support.onnx_models import a_model

FILES = Path(__file__).parents[2] / "data" / "exporters"


def lowering(**attributes: str) -> bytes:
    node = helper.make_node(
        "StringNormalizer", ["x"], ["y"], case_change_action="LOWER", is_case_sensitive=1, **attributes
    )
    return a_model([node], [("x", TensorProto.STRING, ["n"])], [("y", TensorProto.STRING, ["n"])]).SerializeToString()


def test_letters_of_all_alphabets_become_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_locale(monkeypatch, tmp_path)
    texts = np.array(["ÄPFEL", "ΩMEGA", "ЖУК", "日本"], object)
    given = ModelSession(lowering()).run({"x": texts}, [], Stop()).outputs["y"]
    assert given.tolist() == ["äpfel", "ωmega", "жук", "日本"]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (lowering(), "en_US.UTF-8"),
        (lowering(locale="fr_FR.UTF-8"), "fr_FR.UTF-8"),
        ((FILES / "sklearn-TfidfVectorizer.onnx").read_bytes(), "en_US.UTF-8"),
    ],
    ids=["default", "named", "exported"],
)
def test_a_system_without_the_locale_says_what_it_lacks(
    content: bytes, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_locale(monkeypatch, tmp_path)
    with pytest.raises(VerbError) as caught:
        ModelSession(content)
    assert caught.value.reason is Reason.INVALID_MODEL
    assert f"as the locale {name} does, and this system lacks it" in caught.value.message
    assert f"localedef -i {name[:5]} -f UTF-8 {name}" in caught.value.message


def test_what_changes_no_case_needs_no_locale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_locale(monkeypatch, tmp_path)
    session = ModelSession((FILES / "sklearn-TfidfVectorizer-as-it-is.onnx").read_bytes())
    assert session.run({"text": np.array([["Good"]], object)}, [], Stop()).outputs["output_label"].tolist() == [1]
