"""How each server is started: ours, the bare program, and the peers as their documentation sets them up for speed.

One worker process, one thread of ONNX Runtime, no access log. Metrics stay on where they are by default, as ours are.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from benchmarks.serving import programs
from benchmarks.serving.model import NAME, VERSION, Model
from benchmarks.serving.process import Target
from kingmaker_serving.digest import sha256
from support.localprocess import free_port

TASK: Final = {"type": "Classification", "label": "label", "score": "probabilities"}
_KEY: Final = b"0123456789abcdef" * 2
"""Request ids have a key from a folder in a pod, so they have here."""


def ours(model: Model, folder: Path, *more: str, counting: bool = True, version: str = VERSION) -> Target:
    """Give our server on a model; without counting, it is started without a baseline."""
    return serving(folder, *of_model(model, counting=counting), "--model-version", version, *more)


def of_model(model: Model, *, counting: bool = True) -> list[str]:
    """Give the options of `serve` for one model, but its version."""
    options = ["--dir", str(model.folder), "--model-name", NAME, "--task", json.dumps(TASK)]
    options += ["--model-digest", sha256(model.onnx.read_bytes())]
    if counting:
        options += ["--baseline-digest", sha256((model.folder / "baseline.json").read_bytes())]
    return options


def serving(folder: Path, *options: str) -> Target:
    """Give our server with such options; gRPC where it has that."""
    port, management, grpc = free_port(), free_port(), free_port()
    command = [sys.executable, "-m", "kingmaker_serving", "serve", "--host", "127.0.0.1", *options]
    command += ["--port", str(port), "--management-port", str(management), "--log-level", "warning"]
    if programs.serve_has("--grpc-port"):
        command += ["--grpc-port", str(grpc)]
    keys = folder / "keys"
    keys.mkdir(parents=True, exist_ok=True)
    (keys / "1").write_bytes(_KEY)
    command += ["--id-keys", str(keys)]
    environment = {"KINGMAKER_POD_NAME": "bench", "KINGMAKER_POD_IP": "127.0.0.1"}
    programs.compile_ours()
    return _target("kingmaker", command, folder, port, grpc, environment, management)


def bare(model: Model, folder: Path) -> Target:
    """Give the bare program."""
    port = free_port()
    command = [sys.executable, str(programs.HERE / "bare.py"), str(model.onnx), str(port)]
    return _target("bare", command, folder, port)


def mlserver(model: Model, folder: Path, installed: Path) -> Target:
    """Give MLServer. Without parallel workers the model runs in the server's process: no second process to talk to."""
    port, grpc, metrics = free_port(), free_port(), free_port()
    settings: dict[str, Any] = {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": grpc,
        "metrics_port": metrics,
        "parallel_workers": 0,
        "gzip_enabled": False,
        "logging_settings": {
            "version": 1,
            "loggers": {"mlserver": {"level": "ERROR"}},
        },
    }
    about = {"name": NAME, "implementation": "runtime.OnnxModel", "parameters": {"uri": str(model.onnx)}}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(about))
    environment = {"PYTHONPATH": str(programs.PEERS / "mlserver")}
    return _target("mlserver", [str(installed / "mlserver"), "start", "."], folder, port, grpc, environment)


def kserve(model: Model, folder: Path, installed: Path) -> Target:
    """Give KServe's Python model server with a custom predictor."""
    port, grpc = free_port(), free_port()
    command = [str(installed / "python"), str(programs.PEERS / "kserve" / "server.py"), "--model", str(model.onnx)]
    command += ["--model_name", NAME, "--http_port", str(port), "--grpc_port", str(grpc), "--workers", "1"]
    command += ["--enable_latency_logging", "false"]
    return _target("kserve", command, folder, port, grpc)


def bentoml(model: Model, folder: Path, installed: Path) -> Target:
    """Give BentoML with a service of one worker."""
    port = free_port()
    command = [str(installed / "bentoml"), "serve", "--quiet", "--working-dir", str(programs.PEERS / "bentoml")]
    command += ["service:Churn", "--host", "127.0.0.1", "--port", str(port)]
    environment = {"BENCH_MODEL": str(model.onnx), "BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(folder / "home")}
    return _target("bentoml", command, folder, port, 0, environment)


def _target(
    name: str,
    command: list[str],
    folder: Path,
    port: int,
    grpc: int = 0,
    environment: dict[str, str] | None = None,
    management: int = 0,
) -> Target:
    address = "127.0.0.1:{}".format
    return Target(name, command, address(port), folder, address(grpc), address(management), environment or {})
