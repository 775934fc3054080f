"""Find out what a model file is, in a process that may crash, hang or eat memory without anybody else noticing."""

import re
import resource
import signal
import subprocess
import sys
import threading
import zlib
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from kingmaker_serving.engine.pace import made_up
from kingmaker_serving.errors import Reason, ServingError, VerbError
from kingmaker_serving.models.loading import Digests, load_model
from kingmaker_serving.models.session import ModelSession, Stop
from kingmaker_serving.protocol.signature import Signature, check_signature, read_signature, read_task
from kingmaker_serving.report import MAX_BYTES

_FAILED: Final = 1
_BASE_BYTES: Final = 2 * 1024**3
_TRIAL_SECONDS: Final = 2.0
_NO_MEMORY: Final = re.compile(r"MemoryError|bad_alloc|Failed to allocate memory")
"""How Python, C++ and ONNX Runtime say it."""


def verify(
    folder: Path,
    *,
    model_digest: str,
    baseline_digest: str | None = None,
    examples_digest: str | None = None,
    signature: str | None = None,
    task: str | None = None,
) -> dict[str, Any]:
    """Load a model, compare what it is with what was promised, run its examples.

    Args:
        folder: Where `fetch` put the files.
        model_digest: `sha256:...`, like the two others.
        baseline_digest: None when there is no baseline.
        examples_digest: None when there are no examples.
        signature: JSON of the promised signature; None accepts what is found.
        task: JSON of the task.

    Returns:
        Digest, size, opset, producer, signature, examples and baseline as they were found.

    Raises:
        VerbError: With the reason.
    """
    wanted = read_signature(signature) if signature else None
    digests = Digests(model_digest, baseline_digest, examples_digest)
    loaded = load_model(folder, digests, task=read_task(task) if task else None)
    session = loaded.session
    if wanted is not None:
        check_signature(wanted, session.signature)
    if not loaded.samples:
        _try_out(session)
    found: dict[str, Any] = {
        "digest": model_digest,
        "sizeBytes": loaded.size_bytes,
        "opset": session.file.opset,
        "producer": session.file.producer,
        **_promised(session.signature),
        "examples": len(loaded.samples),
    }
    if loaded.baseline is not None:
        document = loaded.baseline.document
        found["baseline"] = {
            "digest": loaded.baseline.digest,
            "rows": document.rows,
            "features": len(document.features),
        }
    return found


def _try_out(session: ModelSession) -> None:
    """Run a model without examples once, as `serve` will: what takes too much memory must take it here.

    Raises:
        VerbError: InvalidModel when it does. Whatever else it says of inputs that were made up proves nothing.
    """
    stop = Stop()
    limit = threading.Timer(_TRIAL_SECONDS, stop.ask)
    limit.start()
    try:
        session.run(made_up(session.signature, 0), [], stop)
    except ValueError:
        pass  # such inputs can't be made up
    except ServingError as error:
        if _NO_MEMORY.search(str(error.__cause__)):
            raise VerbError(Reason.INVALID_MODEL, f"the model failed: {str(error.__cause__)[:1000]}") from error
    finally:
        limit.cancel()


def fit(found: dict[str, Any]) -> dict[str, Any]:
    """Make a result fit into a termination message; a table of hundreds of columns is as many inputs.

    Returns:
        The result; `{"deflated": ...}`, its JSON in zlib's form and base64; or the result without inputs and outputs.
    """
    content = msgspec.json.encode(found)
    if len(content) <= MAX_BYTES:
        return found
    deflated = {"deflated": b64encode(zlib.compress(content, 9)).decode()}
    if len(msgspec.json.encode(deflated)) <= MAX_BYTES:
        return deflated
    return {key: value for key, value in found.items() if key not in {"inputs", "outputs"}}


def _promised(signature: Signature) -> dict[str, Any]:
    """Give what `check_signature` compares: the tensors that every request has, and those of a reply."""
    return {
        side: [{"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)} for spec in specs]
        for side, specs in (
            ("inputs", [spec for spec in signature.inputs if not spec.optional]),
            ("outputs", signature.outputs),
        )
    }


def verify_apart(
    arguments: Sequence[str], folder: Path, *, deadline_seconds: float, memory_bytes: int
) -> dict[str, Any]:
    """Run this verb again in a child with bounds, and give its result.

    A crash inside ONNX Runtime, a run without end and an allocation without bounds become reasons that a person reads.

    Args:
        arguments: The command line of this process after its name.
        folder: Of the model.
        deadline_seconds: For everything.
        memory_bytes: What the child may take at most; a small file gets less.

    Raises:
        VerbError: The child's own reason, or InvalidModel when it had none any more.
    """
    command = [sys.executable, "-m", "kingmaker_serving", *arguments, "--inside"]

    most = memory_for(folder, memory_bytes)

    def bound() -> None:
        # Not the address space: threads and allocators reserve much of that and never touch it.
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    try:
        # The parent runs no threads yet; bounding the child before exec is what preexec_fn is for.
        done = subprocess.run(command, capture_output=True, timeout=deadline_seconds, check=False, preexec_fn=bound)
    except subprocess.TimeoutExpired as error:
        message = f"loading and running the examples took over {deadline_seconds:g} s; is the model this slow?"
        raise VerbError(Reason.INVALID_MODEL, message) from error
    if done.returncode == 0:
        found: dict[str, Any] = msgspec.json.decode(done.stdout)
        return found
    raise _failure(done, most)


def memory_for(folder: Path, most: int) -> int:
    """Give the bytes of memory that loading a model and running its examples may take.

    ONNX Runtime holds a file's weights three times over while it loads them: as bytes, as they were parsed, as it runs
    them. What a few rows need beside that does not grow with the file.

    Args:
        folder: Of the model, its baseline and its examples.
        most: Never more than this.
    """
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return min(most, _BASE_BYTES + 3 * size)


def _failure(done: subprocess.CompletedProcess[bytes], memory: int) -> VerbError:
    text = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode < 0:
        if -done.returncode == signal.SIGKILL:
            message = "the process that loads the model was killed, as happens to what needs more memory than there is"
            return VerbError(Reason.INVALID_MODEL, message)
        name = signal.Signals(-done.returncode).name
        message = f"ONNX Runtime died of {name} while it loaded or ran the model; the file is broken or asks too much"
        return VerbError(Reason.INVALID_MODEL, message)
    reason, _, message = text[text.rfind("\n") + 1 :].partition(": ")
    if _NO_MEMORY.search(message):
        text = (
            f"loading the model or running its examples needs more memory than {memory // 2**20} MiB: 2 GiB and three "
            "times the file's size, --memory-bytes at most"
        )
        return VerbError(Reason.INVALID_MODEL, text)
    if done.returncode == _FAILED and reason in {known.value for known in Reason}:
        return VerbError(Reason(reason), message)
    return VerbError(Reason.INTERNAL, f"the verifying process exited with {done.returncode}: {text[-2000:]}")
