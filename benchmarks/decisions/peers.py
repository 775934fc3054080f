"""Other programs, asked in environments of their own: arrays go in, JSON comes out."""

import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.common.environments import EnvironmentFailedError, environment
from benchmarks.decisions.options import Options

HERE: Final = Path(__file__).parent / "peers"
_DEADLINE: Final = 1200


class PeerError(Exception):
    """A peer gave nothing; the beginning of the message, until the colon, stands in the table."""


def ask(
    peer: str, program: str, options: Options, arrays: Mapping[str, np.ndarray] | None = None, **values: Any
) -> Any:
    """Run `peers/<peer>/<program>.py IN.npz IN.json OUT.json` in the peer's environment and give what it wrote.

    Args:
        peer: A folder of `peers/` with a `requirements.lock`.
        program: A file in it, without `.py`; it imports the standard library, what its lock installs, and nothing here.
        options: Where environments are.
        arrays: Written to `IN.npz`.
        values: Written to `IN.json`.

    Raises:
        PeerError: It can't be installed here, or it failed.
    """
    try:
        python = environment(peer, HERE / peer / "requirements.lock", options.environments.absolute()) / "python"
    except EnvironmentFailedError as error:
        raise PeerError(f"not installed: {error}") from error
    with tempfile.TemporaryDirectory(prefix="kmpeer") as folder:
        data, given, wrote = (Path(folder, name) for name in ("in.npz", "in.json", "out.json"))
        np.savez(data, **(arrays or {}))
        given.write_text(json.dumps(values))
        command = [str(python), str(HERE / peer / f"{program}.py"), *map(str, (data, given, wrote))]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_DEADLINE, check=False)
        except subprocess.TimeoutExpired as error:
            raise PeerError(f"too slow: nothing within {_DEADLINE} s") from error
        if done.returncode or not wrote.exists():
            raise PeerError(f"failed: {done.stderr[-2000:]}")
        return json.loads(wrote.read_text())
