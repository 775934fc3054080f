"""The command as a whole: what it says where a package is missing that it needs."""

import subprocess
import sys

import pytest

_WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None
from kingmaker.cli import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("package", "arguments"),
    [("cryptography", ("--help",)), ("cryptography", ("up",)), ("aiohttp", ("explain", "churn"))],
)
def test_a_missing_package_is_named_with_what_brings_it(package: str, arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", _WITHOUT, package, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"kingmaker: the Python package {package} is not installed; ")
    assert "pip install '.[operator,local]'" in done.stderr
