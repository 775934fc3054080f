"""Build every image that the cluster tests need: `python -m support.testimages PATTERN COMMAND...`.

PATTERN names images, `{}` stands for the part: `kingmaker/{}:test`. COMMAND builds one, and is called with a tag, flags
and the context: `docker build -t`, or whatever loads the result into the cluster at hand.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from support import metricsserver, monitoring, s3server
from support.goprogram import ensure_program

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "tests" / "cluster" / "images"
TARGETS = ("operator", "serving", "training")


def main(pattern: str, *command: str) -> None:
    """Build them one after the other and say how long each took."""
    for target in TARGETS:
        _build(command, pattern.format(target), "--target", target, str(ROOT))
    _build(command, pattern.format("router"), "-f", str(IMAGES / "router.Dockerfile"), str(ROOT))
    _build_program(command, pattern.format("store"), "store", s3server.PROGRAM)
    for part in (metricsserver.NAME, *(monitoring.PROGRAMS if monitoring.is_chosen() else ())):
        _build_program(command, pattern.format(part), part, part)


def _build_program(command: tuple[str, ...], tag: str, file: str, program: str) -> None:
    with tempfile.TemporaryDirectory() as context:
        shutil.copy(ensure_program(program), Path(context, program))
        _build(command, tag, "-f", str(IMAGES / f"{file}.Dockerfile"), context)


def _build(command: tuple[str, ...], tag: str, *arguments: str) -> None:
    began = time.monotonic()
    subprocess.run([*command, tag, *arguments], check=True)
    print(f"{tag}: built in {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 3 or "{}" not in sys.argv[1]:
        sys.exit(__doc__)
    main(*sys.argv[1:])
