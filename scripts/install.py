"""Install the locked packages and this checkout into an environment, as they are: `python3 scripts/install.py [.venv]`.

What is whole already is left alone, in a blink. An environment that was never finished, that was moved here or whose
Python is gone is made anew.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List, Optional

import preflight

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
STAMP = ".installed"
"""Lies in an environment that is whole; made last, as old as what was installed."""


def main(folder: Path) -> Optional[str]:
    """Install into `folder` and give None, or what is in the way."""
    stamp = folder / STAMP
    usable = stamp.exists() and is_usable(folder)
    if usable and stamp.stat().st_mtime >= max(path.stat().st_mtime for path in (LOCK, ROOT / "pyproject.toml")):
        return None
    version, parent = sys.version_info[:2], folder.parent
    problem = (
        preflight.python_problem(version)
        or preflight.venv_problem(version)
        or preflight.folder_problem(parent, shutil.disk_usage(str(parent)).free, os.access(str(parent), os.W_OK))
    )
    if problem:
        return problem
    print(f"installing the locked packages into {folder.name}: once, a minute or two", flush=True)
    if usable:
        stamp.unlink()
    elif subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)]).returncode:
        return f"no environment could be made in {folder}; what Python said is above"
    python = folder / "bin" / "python"
    problem = preflight.index_problem(python, LOCK)
    for command in [] if problem else commands(python):
        problem = problem or _run(command)
    if not problem:
        stamp.touch()
    return problem


def is_usable(folder: Path) -> bool:
    """Whether an environment was made here and its Python still finds what is installed in it."""
    settings = folder / "pyvenv.cfg"
    made = re.search("^command = .* (/.*)$", settings.read_text(), re.MULTILINE) if settings.exists() else None
    python = folder / "bin" / "python"
    if not python.exists() or (made and Path(made.group(1)) != folder):
        return False
    return not subprocess.run([str(python), "-c", "import editables"], stderr=subprocess.DEVNULL).returncode


def commands(python: Path, lock: Path = LOCK) -> List[List[str]]:
    """Give the commands that install a lock, exactly and from wheels, and this checkout with the pip of `python`."""
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]
    return [
        [*pip, "--require-hashes", "--only-binary=:all:", "-r", str(lock)],
        [*pip, "--no-index", "--no-build-isolation", "--editable", str(ROOT)],
    ]


def _run(command: List[str]) -> Optional[str]:
    """Run pip and show how far it is; give what went wrong."""
    total = len(re.findall(r"^\S+==", LOCK.read_text(), re.MULTILINE))
    output, count = [], 0
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as pip:
        for line in pip.stdout or ():
            output.append(line)
            if re.match("Collecting|Requirement already|Ignoring", line):
                count += 1
                _show(f"{count} of {total} packages", last=count == total)
            elif line.startswith("Installing collected"):
                _show(f"unpacking {line.count(',') + 1}", last=True)
    return preflight.explain_pip("".join(output), sys.version_info[:2]) if pip.returncode else None


def _show(text: str, last: bool) -> None:
    if sys.stdout.isatty():
        print(f"\r\033[K{text}", end="\n" if last else "", flush=True)
    elif last:
        print(text, flush=True)


if __name__ == "__main__":
    trouble = main(ROOT / (sys.argv[1] if len(sys.argv) > 1 else ".venv"))
    if trouble:
        sys.exit(f"can't install: {trouble}")
