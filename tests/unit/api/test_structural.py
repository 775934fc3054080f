"""The converter keeps what it knows and refuses what it does not."""

from collections.abc import Mapping
from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from kingmaker.api.structural import UnsupportedSchemaError, to_structural


class Inner(BaseModel):
    """What a class is."""

    count: Annotated[int, Field(ge=0, le=9)]


class Outer(BaseModel):
    """What an outer
    class is."""

    inner: Inner | None = Field(default=None, description="What this field is.")
    labels: Mapping[str, Annotated[str, Field(max_length=3)]] = Field(default={"a": "b"}, max_length=4)


def test_references_and_optional_fields_are_resolved() -> None:
    assert to_structural(Outer.model_json_schema()) == {
        "type": "object",
        "description": "What an outer class is.",
        "properties": {
            "inner": {
                "type": "object",
                "description": "What this field is.",
                "required": ["count"],
                "properties": {"count": {"type": "integer", "format": "int64", "minimum": 0, "maximum": 9}},
            },
            "labels": {
                "type": "object",
                "default": {"a": "b"},
                "maxProperties": 4,
                "additionalProperties": {"type": "string", "maxLength": 3},
            },
        },
    }


@pytest.mark.parametrize(
    ("schema", "part"),
    [
        pytest.param({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "anyOf", id="a choice of types"),
        pytest.param({"type": "integer", "exclusiveMinimum": 0}, "exclusiveMinimum", id="a keyword of another draft"),
        pytest.param({"type": "array", "prefixItems": []}, "prefixItems", id="a tuple"),
        pytest.param({"type": "object", "additionalProperties": True}, "additionalProperties", id="any field at all"),
    ],
)
def test_what_has_no_structural_form_is_refused_with_its_path(schema: dict[str, object], part: str) -> None:
    with pytest.raises(UnsupportedSchemaError, match=rf"^\$\.field: .*{part}"):
        to_structural({"type": "object", "properties": {"field": schema}})


def test_rules_of_a_type_and_of_a_field_are_both_kept() -> None:
    schema = {
        "$defs": {"Kind": {"type": "string", "x-kubernetes-validations": [{"rule": "a", "message": "one"}]}},
        "$ref": "#/$defs/Kind",
        "x-kubernetes-validations": [{"rule": "b", "message": "two"}],
    }
    assert [rule["rule"] for rule in to_structural(schema)["x-kubernetes-validations"]] == ["a", "b"]
