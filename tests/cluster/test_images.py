"""What is in the images, looked at from inside of running containers, and what is not."""

import json

import pytest

from support.cluster import Cluster
from support.release import NAMESPACE, Images, Release
from support.store import pod

_LOOK = """
import importlib.util, json, os, pathlib, shutil
def writable(path):
    try:
        pathlib.Path(path, ".probe").write_text("x")
    except OSError:
        return False
    return True
print(json.dumps({
    "uid": os.getuid(),
    "modules": [m for m in ("kopf", "onnxruntime", "sklearn", "s3fs", "pip") if importlib.util.find_spec(m)],
    "programs": [p for p in ("gcc", "cc", "make", "go", "git") if shutil.which(p)],
    "caches": [str(p) for r in ("/root/.cache", "/tmp", "/opt/installer") for p in pathlib.Path(r).glob("*")]
      if os.access("/root", os.R_OK) else [str(p) for p in pathlib.Path("/tmp").glob("*")],
    "writable": [p for p in ("/", "/app", "/opt/venv", "/usr/bin") if writable(p)],
}))
"""

EXPECTED = {
    "operator": (["kopf"], "kingmaker-operator", "run"),
    "serving": (["onnxruntime", "s3fs"], "kingmaker-serving", "serve"),
    "training": (["onnxruntime", "sklearn", "s3fs"], "kingmaker-serving", "package"),
}


@pytest.mark.parametrize("part", EXPECTED)
def test_an_image_holds_its_own_part_and_nothing_else(
    cluster: Cluster, release: Release, images: Images, part: str
) -> None:
    modules, command, verb = EXPECTED[part]
    name = f"look-{part}"
    container = {"image": getattr(images, part), "command": ["sleep", "600"]}
    cluster.apply(pod(name, NAMESPACE, container))
    try:
        cluster.kubectl("wait", "-n", NAMESPACE, f"pod/{name}", "--for=condition=Ready", "--timeout=90s")
        found = json.loads(cluster.execute(NAMESPACE, name, "python", "-", stdin=_LOOK))
        assert found == {"uid": 65532, "modules": modules, "programs": [], "caches": [], "writable": []}
        assert verb in cluster.execute(NAMESPACE, name, command, "--help")
    finally:
        cluster.kubectl("delete", "pod", "-n", NAMESPACE, name, "--wait=false")
