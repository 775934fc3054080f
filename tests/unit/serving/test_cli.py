"""The command line: what it teaches, what it refuses, how it fails."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kingmaker_serving.__main__ import main

DIGEST = "sha256:" + "0" * 64


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in ("fetch", "verify", "serve", "package"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "VERB"),
        (["serve"], "--dir"),
        (["fetch", "--dir", "x", "--model-uri", "/x", "--model-digest", "md5:1"], "64 hexadecimal digits"),
        (["verify", "--dir", "x", "--model-digest", DIGEST, "--deadline", "soon"], "no number of seconds"),
        (["serve", "--dir", "x", "--model-digest", DIGEST, "--port", "0"], "is no port"),
        (["package", "--metric", "accuracy"], "expected NAME=VALUE"),
    ],
)
def test_a_wrong_command_line_exits_with_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


def test_a_failure_is_a_reason_in_the_termination_message(tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    arguments = ["serve", "--dir", str(tmp_path), "--model-name", "m", "--model-version", "m-1"]
    arguments += ["--model-digest", DIGEST, "--task", '{"type": "Guess"}', "--termination-log", str(log)]
    assert main(arguments) == 1
    message = json.loads(log.read_bytes())
    assert message["reason"] == "SignatureMismatch"
    assert "Guess" in message["message"]


def test_serving_needs_nothing_of_the_operator_or_of_training() -> None:
    foreign = ["kingmaker", "kopf", "kubernetes", "pydantic", "grpc", "scipy", "yaml", "onnx", "skl2onnx", "sklearn"]
    code = f"""
import sys
for name in {foreign!r}:
    sys.modules[name] = None
import importlib, pkgutil, kingmaker_serving
for found in pkgutil.iter_modules(kingmaker_serving.__path__):
    importlib.import_module(f"kingmaker_serving.{{found.name}}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
