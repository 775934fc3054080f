"""What the project shows people: manifests and command lines of examples/ and the Markdown pages."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
)
BUILT = ROOT / "examples" / "quickstart"
"""Its Models are written by `make quickstart`, with this machine's paths: not part of the repository."""

_FENCED = re.compile(r"^```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^ {4}.*\n|^\n)+", re.MULTILINE)
_PLACES = {"python": "/usr/bin/python3", "trainer": "/t/train.py", "fresh": "/t/fresh.csv", "output": "file:///t/out"}
"""What `kingmaker demo` fills into `*.yaml.in`."""


@dataclass(frozen=True)
class Shown:
    """One manifest, and where it is shown."""

    place: str
    body: dict[str, Any]


def manifests() -> list[Shown]:
    """List every manifest in examples/ and in the pages' yaml blocks."""
    return [*_of_examples(), *_of_pages()]


def _of_examples() -> Iterator[Shown]:
    files = sorted([*(ROOT / "examples").rglob("*.yaml"), *(ROOT / "examples").rglob("*.yaml.in")])
    for file in files:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".in":
            text = Template(text).substitute(_PLACES)
        if file.parent != BUILT or not file.name.startswith("model-"):
            yield from _documents(text, str(file.relative_to(ROOT)))


def _of_pages() -> Iterator[Shown]:
    for page in PAGES:
        for block in blocks(page, "yaml"):
            yield from _documents(block, str(page.relative_to(ROOT)))


def _documents(text: str, place: str) -> Iterator[Shown]:
    for body in yaml.safe_load_all(text):
        if isinstance(body, dict) and "apiVersion" in body and "kind" in body:
            yield Shown(f"{place}:{body['kind']}:{body['metadata']['name']}", body)


def blocks(page: Path, language: str) -> list[str]:
    """Give the fenced blocks of one language."""
    return [
        found["text"] for found in _FENCED.finditer(page.read_text(encoding="utf-8")) if found["language"] == language
    ]


def command_lines() -> list[tuple[str, str]]:
    """List every line of code that the pages show, with its page: fenced without language, indented, in backticks."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        prose = _FENCED.sub("", text)
        lines = [line for language in ("", "sh") for block in blocks(page, language) for line in block.splitlines()]
        lines += [line for block in _INDENTED.findall(prose) for line in block.splitlines()]
        lines += [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]
        found += [(str(page.relative_to(ROOT)), line.strip()) for line in lines if line.strip()]
    return found
