"""The CRD files are what the models say, structural and bounded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kingmaker.api import crdgen
from kingmaker.api.crdgen import KINDS, build_crd, render_all, write_all

ROOT = Path(__file__).parents[3]
FOLDERS = ("crds", "charts/kingmaker/crd-bases")
FORBIDDEN = {"$ref", "$defs", "title", "const", "anyOf", "oneOf", "allOf", "not", "exclusiveMinimum", "uniqueItems"}

Schema = dict[str, Any]


def parts(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from parts(part, f"{path}.{name}")
    if "items" in schema:
        yield from parts(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from parts(schema["additionalProperties"], f"{path}{{}}")


def fields() -> list[tuple[str, Schema]]:
    found = []
    for kind in KINDS:
        root = build_crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for name in ("spec", "status"):
            if name in root["properties"]:
                found += parts(root["properties"][name], f"{kind.singular}.{name}")
    return found


def is_bounded(schema: Schema) -> bool:
    if "enum" in schema or "x-kubernetes-int-or-string" in schema:
        return True
    match schema.get("type"):
        case "string":
            return "maxLength" in schema or schema.get("format") == "date-time"
        case "integer":
            return "minimum" in schema and "maximum" in schema
        case "array":
            return "maxItems" in schema
        case "object":
            return "maxProperties" in schema or "additionalProperties" not in schema
        case _:
            return True


@pytest.mark.parametrize("folder", FOLDERS)
def test_committed_files_are_what_the_models_generate(folder: str) -> None:
    committed = {file.name: file.read_text(encoding="utf-8") for file in (ROOT / folder).glob("*.yaml")}
    assert committed == render_all(), f"{folder}/ differs from the models: run `make generate`"


def test_every_field_is_bounded() -> None:
    assert [path for path, schema in fields() if not is_bounded(schema)] == []


def test_every_field_is_documented() -> None:
    named = [(path, schema) for path, schema in fields() if path and not path.endswith(("[]", "{}"))]
    assert [path for path, schema in named if not schema.get("description")] == []


def test_schemas_are_structural() -> None:
    assert [(path, sorted(FORBIDDEN & schema.keys())) for path, schema in fields() if FORBIDDEN & schema.keys()] == []
    assert [
        path for path, schema in fields() if "type" not in schema and "x-kubernetes-int-or-string" not in schema
    ] == []


def test_no_object_accepts_fields_that_nobody_reads() -> None:
    assert [path for path, schema in fields() if "x-kubernetes-preserve-unknown-fields" in schema] == []


def test_every_list_says_how_it_is_merged() -> None:
    assert [
        path for path, schema in fields() if schema.get("type") == "array" and "x-kubernetes-list-type" not in schema
    ] == []


def test_every_cross_field_rule_has_a_sentence() -> None:
    rules = [(path, rule) for path, schema in fields() for rule in schema.get("x-kubernetes-validations", [])]
    assert rules
    assert [path for path, rule in rules if len(rule.get("message", "")) < 20 or "\n" in rule["message"]] == []


def test_yaml_1_1_readers_see_no_booleans_in_keys() -> None:
    # kubectl's reader takes a bare n for false, and refuses the field of that name.
    text = render_all()["decisions.yaml"]
    assert '"n":' in text
    assert "\n                    n:" not in text


def test_generating_twice_changes_nothing(tmp_path: Path) -> None:
    write_all(tmp_path)
    first = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert crdgen.main([str(tmp_path)]) == 0
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == first


def test_a_missing_folder_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert crdgen.main([]) == 2
    assert "usage:" in capsys.readouterr().err


def test_uninstalling_the_chart_keeps_everybodys_objects() -> None:
    for text in render_all().values():
        assert yaml.safe_load(text)["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
