"""The quickstart: what `make quickstart` writes fits what is committed, and names files that are there."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from kingmaker.api import Model, ModelDeployment

QUICKSTART = Path(__file__).parents[3] / "examples" / "quickstart"


def test_the_written_models_are_those_that_the_deployment_names(tmp_path: Path) -> None:
    for file in ("build.py", "deployment.yaml"):
        shutil.copy(QUICKSTART / file, tmp_path)
    subprocess.run([sys.executable, str(tmp_path / "build.py")], check=True, capture_output=True)
    models = [Model.parse(yaml.safe_load(path.read_text())) for path in tmp_path.glob("model-*.yaml")]
    deployment = ModelDeployment.parse(yaml.safe_load((tmp_path / "deployment.yaml").read_text()))
    named = {str(deployment.spec.champion_ref.name), *(str(c.model_ref.name) for c in deployment.spec.challengers)}
    assert {model.metadata.name for model in models} == named
    assert {str(model.spec.family) for model in models} == {"iris"}
    for model in models:
        for file in (model.spec.artifact, model.spec.baseline, model.spec.examples):
            assert file is not None
            content = Path(urlsplit(str(file.uri)).path).read_bytes()
            assert file.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_what_it_writes_is_not_committed() -> None:
    ignored = (QUICKSTART / ".gitignore").read_text().splitlines()
    assert {"/model-*.yaml", "/artifacts/"} <= set(ignored)
