"""The pages about the kinds are what the models say: every field once, every link leads somewhere."""

import re
from pathlib import Path
from typing import Any

import pytest

from kingmaker.api import Reason, docgen
from kingmaker.api.conditions import ConditionType
from kingmaker.api.crdgen import KINDS, Kind, build_schema
from kingmaker.api.docgen import render_all
from kingmaker.api.docstrings import member_docs
from kingmaker.api.fielddocs import slug
from kingmaker.api.reasons import DECISION_REASONS, DEPLOYMENT_REASONS, MODEL_REASONS, REJECTED_REASONS

ROOT = Path(__file__).parents[3]
PAGES = render_all(ROOT / "examples")
FIELD = re.compile(r"^- `([A-Za-z-]+)` \((.*)")
SAME = re.compile(r"The same at ((?:`[^`]+`(?:, )?)+)\.")


def paths(schema: dict[str, Any], path: str) -> list[str]:
    """Every field below a schema; lists end in []."""
    found = []
    for name, part in schema.get("properties", {}).items():
        inner = part["items"] if part.get("type") == "array" else part
        found += [f"{path}.{name}", *paths(inner, f"{path}.{name}{'[]' if inner is not part else ''}")]
    return found


def described(page: str) -> list[str]:
    """Every field that a page describes, at every place where its object stands."""
    found: list[str] = []
    for section in page.split("\n### ")[1:]:
        heading, *lines = section.split("\n## ")[0].splitlines()
        same = SAME.search(" ".join(lines))
        places = [heading, *(re.findall(r"`([^`]+)`", same[1]) if same else ())]
        names = [match[1] for line in lines if (match := FIELD.match(line))]
        found += [f"{place}.{name}" for place in places for name in names]
    return found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.singular)
def test_every_field_is_described_exactly_once(kind: Kind) -> None:
    schema = build_schema(kind.resource)["properties"]
    expected = [p for name in ("spec", "status") if name in schema for p in paths(schema[name], name)]
    assert sorted(described(PAGES[f"{kind.singular}.md"])) == sorted(expected)


@pytest.mark.parametrize("name", PAGES)
def test_the_committed_page_is_what_the_models_generate(name: str) -> None:
    assert (ROOT / "docs/spec" / name).read_text() == PAGES[name], f"docs/spec/{name} differs: run `make generate`"


@pytest.mark.parametrize("name", PAGES)
def test_links_within_a_page_lead_to_a_heading(name: str) -> None:
    headings = [line.lstrip("# ") for line in PAGES[name].splitlines() if line.startswith("#")]
    anchors = {slug(heading) for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGES[name])) <= anchors


@pytest.mark.parametrize("name", PAGES)
def test_no_line_is_too_wide_for_a_terminal_with_room(name: str) -> None:
    assert [line for line in PAGES[name].splitlines() if len(line) > 120] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_enumeration_says_what_its_values_mean(name: str) -> None:
    values = PAGES[name].split("\n## Values\n")[1]
    silent = [part.splitlines()[0] for part in values.split("\n### ")[1:] if "\n- " not in part]
    # The protocol's own names of element types.
    assert set(silent) <= {"Datatype"}


def test_every_reason_and_every_condition_is_explained() -> None:
    assert set(member_docs(Reason)) == {reason.value for reason in Reason}
    assert set(member_docs(ConditionType)) == {kind.value for kind in ConditionType}


def test_every_reason_stands_somewhere() -> None:
    conditions = [*MODEL_REASONS.values(), *DEPLOYMENT_REASONS.values()]
    placed = {reason for reasons in conditions for reason in reasons} | {*DECISION_REASONS, *REJECTED_REASONS}
    assert placed == set(Reason)


def test_every_condition_of_a_deployment_has_its_reasons() -> None:
    assert set(DEPLOYMENT_REASONS) == set(ConditionType)


def test_wrong_usage_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert docgen.main([]) == 2
    assert "usage:" in capsys.readouterr().err


def test_generating_writes_every_page(tmp_path: Path) -> None:
    assert docgen.main([str(ROOT / "examples"), str(tmp_path / "spec")]) == 0
    assert {file.name for file in (tmp_path / "spec").iterdir()} == set(PAGES)
