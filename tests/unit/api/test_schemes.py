"""The operator and the server know the same schemes, and people are told of each."""

import re
from pathlib import Path

import pytest

from kingmaker.api import Uri
from kingmaker.api.schemes import SCHEMES, Scheme
from kingmaker.api.text import OutputUri
from kingmaker_serving.storage import schemes as serving

DOCS = Path(__file__).parents[3] / "docs" / "storage.md"


def test_what_a_model_may_name_is_what_a_server_can_read() -> None:
    assert [scheme.name for scheme in SCHEMES] == list(serving.SCHEMES)


def test_every_scheme_is_documented() -> None:
    cells = re.findall(r"^[|] (`.*?`) [|]", DOCS.read_text(), re.MULTILINE)
    assert {name for cell in cells for name in re.findall("`([a-z0-9]+)`", cell)} >= {s.name for s in SCHEMES}


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_a_scheme_is_written_to_only_where_it_can_be(scheme: Scheme) -> None:
    uri = f"{scheme.name}://{'' if scheme.name == 'file' else 'place'}/models/1.onnx"
    assert Uri(uri) == uri
    if scheme.is_writable:
        assert OutputUri(uri) == uri
    else:
        with pytest.raises(ValueError, match="can be written to"):
            OutputUri(uri)


@pytest.mark.parametrize(
    "uri", ["ssh://host/a", "s3:/a/b", "s3:///a", "pvc://Upper/a", "file://host/a", "S3://a/b", "s3"]
)
def test_what_no_scheme_looks_like_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match=r"one of these schemes: .*s3://.*hf://"):
        Uri(uri)
