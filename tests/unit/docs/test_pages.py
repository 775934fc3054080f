"""What the pages name exists: files, headings, verbs, targets, values of the chart, fields, reasons."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kingmaker.api import Reason
from kingmaker.api.crdgen import KINDS, build_schema
from kingmaker.api.fielddocs import slug
from kingmaker.cli import VERBS
from support.documents import PAGES, ROOT, command_lines

CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
LINES = command_lines()
VALUES: dict[str, Any] = yaml.safe_load((ROOT / "charts/kingmaker/values.yaml").read_text())
CHART_PAGES = {"docs/install.md", "docs/upgrade.md", "docs/uninstall.md"}


def anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return {slug(heading.strip()) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(CODE.sub("", page.read_text())):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: no such file"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize(("page", "line"), [pair for pair in LINES if re.search(r"\bkingmaker [a-z]", pair[1])])
def test_every_verb_exists(page: str, line: str) -> None:
    for verb in re.findall(r"(?:^|[\s(/])kingmaker ([a-z]+)", line):
        before = line.partition("kingmaker " + verb)[0]
        # A release, a chart, or a folder of that name.
        if before.split()[:1] not in (["helm"], ["cd"]):
            assert verb in VERBS, f"{page}: {line}"


@pytest.mark.parametrize(
    ("page", "line"), [pair for pair in LINES if re.match(r"(make|kubectl .*make) [a-z]", pair[1])]
)
def test_every_make_target_exists(page: str, line: str) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    words = shlex.split(line, comments=True)[1:]
    assert {word for word in words if "=" not in word} <= targets, f"{page}: {line}"


def has(path: str) -> bool:
    found: Any = VALUES
    for part in path.split("."):
        if not isinstance(found, dict) or part not in found:
            return False
        found = found[part]
    return True


def chart_values() -> Iterator[tuple[str, str]]:
    for page, line in LINES:
        yield from ((page, path) for path in re.findall(r"--set(?:-\w+)? '?([\w.]+)=", line))
        found = re.fullmatch(r"([a-z]\w*(?:\.\w+)+)(?:=\S*)?", line)
        if (
            found
            and page in CHART_PAGES
            and found[1].split(".")[0] in VALUES
            and not found[1].endswith((".yaml", ".md"))
        ):
            yield page, found[1]


@pytest.mark.parametrize(("page", "path"), sorted(set(chart_values())))
def test_every_value_of_the_chart_exists(page: str, path: str) -> None:
    assert has(path), f"{page}: values.yaml has no {path}"


def fields(schema: dict[str, Any], path: str) -> Iterator[str]:
    yield path
    inner = schema.get("items", schema)
    for name, part in inner.get("properties", {}).items():
        yield from fields(part, f"{path}.{name}")


FIELDS = {
    path
    for kind in KINDS
    for name, part in build_schema(kind.resource)["properties"].items()
    if name in ("spec", "status")
    for path in fields(part, name)
}


@pytest.mark.parametrize(
    ("page", "path"),
    sorted({(page, line) for page, line in LINES if re.fullmatch(r"(spec|status)(\.[A-Za-z]+)+", line)}),
)
def test_every_field_exists(page: str, path: str) -> None:
    assert path in FIELDS, f"{page}: no kind has {path}"


@pytest.mark.parametrize("reason", Reason)
def test_troubleshooting_knows_every_reason(reason: Reason) -> None:
    assert f"`{reason}`" in (ROOT / "docs/troubleshooting.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_everything_is_in_the_index(page: Path) -> None:
    inside = page.is_relative_to(ROOT / "docs") and page.parent != ROOT / "docs/decisions"
    if inside and page.name != "README.md":
        assert f"({page.relative_to(ROOT / 'docs')})" in (ROOT / "docs/README.md").read_text()


@pytest.mark.parametrize(
    "sentence",
    [
        "may not approve ModelDeployments",
        "may not create pods",
        "not an image that this cluster allows",
        "who may not get it",
        "belong to the operator",
        "only it writes them",
        "only it writes it",
        "only the operator makes such objects",
        "not the leader",
    ],
)
def test_the_refusals_that_troubleshooting_quotes_are_the_charts(sentence: str) -> None:
    templates = " ".join(file.read_text() for file in sorted((ROOT / "charts/kingmaker/templates").glob("admission*")))
    assert sentence in " ".join((ROOT / "docs/troubleshooting.md").read_text().split())
    assert sentence in " ".join(templates.split())
