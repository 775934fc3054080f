"""What an installation needs of the machine.

Each check gives None, or one sentence that says what is missing and what to do. A `Version` is (major, minor).
Any Python 3.7 can read this file, so that an older one than is needed is told so instead of a syntax error.
"""

import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable, Optional, Tuple

Version = Tuple[int, int]

OLDEST_PYTHON = (3, 11)
GIGABYTE = 10**9
NEEDED_BYTES = 2 * GIGABYTE
"""What the environment takes, 1.1 GB, and what pip unpacks meanwhile."""

_PROBE = "idna"
"""A small package of the lock; whoever gives it can give the others."""


def python_problem(version: Version) -> Optional[str]:
    """Whether the Python is too old."""
    if version >= OLDEST_PYTHON:
        return None
    oldest, found = _dotted(OLDEST_PYTHON), _dotted(version)
    return f"Python {oldest} or newer is needed, this is {found}: install one and say `make setup PYTHON=python3.12`"


def venv_problem(version: Version, find: Callable[[str], object] = importlib.util.find_spec) -> Optional[str]:
    """Whether a part of Python is missing that distributions ship in a package of its own; `find` looks up a module."""
    missing = [name for name in ("venv", "ensurepip") if not find(name)]
    if not missing:
        return None
    package = f"python{_dotted(version)}-venv"
    return f"this Python lacks its module `{missing[0]}`: install it (Debian, Ubuntu: `apt install {package}`)"


def folder_problem(folder: Path, free_bytes: int, writable: bool) -> Optional[str]:
    """Whether nothing can be installed below `folder`, on whose disk `free_bytes` are left."""
    if not writable:
        return f"{folder} can't be written to: take a checkout of your own, or correct its owner"
    if free_bytes < NEEDED_BYTES:
        free, needed = free_bytes / GIGABYTE, NEEDED_BYTES / GIGABYTE
        return f"{folder} has {free:.1f} GB left on its disk and {needed:.0f} GB are needed: free some space"
    return None


def index_problem(python: Path, lock: Path) -> Optional[str]:
    """Whether pip, as `python` runs it and as it is configured, gets no package of the lock. Takes a second or two.

    Up to 30 s where nobody answers.
    """
    with tempfile.TemporaryDirectory() as scratch:
        wanted = Path(scratch, "wanted")
        wanted.write_text(find_entry(lock.read_text(), _PROBE))
        command = [str(python), "-m", "pip", "download", "--disable-pip-version-check", "--no-cache-dir", "--retries=1"]
        command += ["--timeout=10", "--no-deps", "--require-hashes", "-r", str(wanted), "-d", scratch]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return explain_pip(done.stdout, sys.version_info[:2]) if done.returncode else None


def find_entry(lock: str, name: str) -> str:
    """Give what a lock says about one package: its line and those of its hashes."""
    found = re.search(rf"^{re.escape(name)}==.*\n(?: .*\n?)*", lock, re.MULTILINE)
    if not found:
        raise ValueError(f"{name} is not locked")
    return found.group()


def explain_pip(output: str, version: Version) -> str:
    """Say in one sentence why pip failed and what to do; what is not known is told in pip's own last line."""
    if "No space left on device" in output:
        return "the disk, or that of $TMPDIR, is full: free some space and try again"
    if "DO NOT MATCH THE HASHES" in output:
        return "pip's index gave a file that is not the locked one and was not installed: ask who keeps the index"
    broken = re.findall(r"connection broken by (.*)", output) or re.findall(r"ERROR: (HTTP error.*)", output)
    if broken:
        reason = re.sub(r"^.* object at 0x\w+>: |'?\)*'?: /.*$", "", broken[-1])
        return (
            f"pip can't reach its index ({reason}): check the network and $HTTPS_PROXY, or name "
            "an index that you can reach (`pip config set --user global.index-url URL`)"
        )
    nowhere = re.findall(r"No matching distribution found for (\S+)", output)
    if nowhere:
        return (
            f"pip's index has no {nowhere[-1]} for Python {_dotted(version)} on this kind of machine: try another "
            "Python (`make setup PYTHON=python3.12`), or an index that has everything (`pip config list`)"
        )
    lines = [line for line in output.splitlines() if line.strip()]
    return f"pip failed: {lines[-1] if lines else 'without a word'}"


def _dotted(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
