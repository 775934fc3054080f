"""Turns pydantic's JSON Schema into the structural schema that a CRD must have.

Only what is known to mean the same in both is converted; anything else raises, so that a rule can't get lost unseen.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

Schema = dict[str, Any]

_KEPT: Final = {
    "type": "type",
    "format": "format",
    "pattern": "pattern",
    "enum": "enum",
    "minLength": "minLength",
    "maxLength": "maxLength",
    "minItems": "minItems",
    "maxItems": "maxItems",
    "minProperties": "minProperties",
    "maxProperties": "maxProperties",
    "minimum": "minimum",
    "maximum": "maximum",
    "required": "required",
    "default": "default",
    "x-kubernetes-validations": "x-kubernetes-validations",
    "x-kubernetes-list-type": "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys": "x-kubernetes-list-map-keys",
    "x-kubernetes-int-or-string": "x-kubernetes-int-or-string",
}
"""Keywords that mean the same in pydantic's JSON Schema and in a structural schema."""

_CONVERTED: Final = {"$ref", "$defs", "title", "const", "anyOf", "description", "properties", "items"}
_INT_OR_STRING: Final = [{"type": "integer"}, {"type": "string"}]
_NULL: Final = {"type": "null"}


class UnsupportedSchemaError(ValueError):
    """A part of a JSON Schema has no faithful form in a structural schema."""


def to_structural(schema: Mapping[str, Any]) -> Schema:
    """Convert the JSON Schema of one pydantic model.

    Raises:
        UnsupportedSchemaError: with the path and the keyword that can't be converted.
    """
    return _convert(schema, schema.get("$defs", {}), "$")


def without_defaults(schema: Schema) -> Schema:
    """Give a copy without defaults: for status, where the API server must not invent what nobody observed."""
    copy = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in copy:
        copy["properties"] = {name: without_defaults(part) for name, part in copy["properties"].items()}
    if "items" in copy:
        copy["items"] = without_defaults(copy["items"])
    return copy


def _convert(schema: Mapping[str, Any], defs: Mapping[str, Any], path: str) -> Schema:
    flat = _resolve(schema, defs, path)
    unknown = set(flat) - set(_KEPT) - _CONVERTED - {"additionalProperties"}
    if unknown:
        msg = f"{path}: can't put {', '.join(sorted(unknown))} into a structural schema; express it otherwise"
        raise UnsupportedSchemaError(msg)
    result: Schema = {}
    if "description" in flat:
        result["description"] = _one_paragraph(flat["description"])
    result |= {name: _clean(flat[key]) for key, name in _KEPT.items() if key in flat}
    if result.get("default", ...) is None:
        del result["default"]
    if "const" in flat:
        result["enum"] = [flat["const"]]
    if "anyOf" in flat:
        result["anyOf"] = flat["anyOf"]
    return result | _children(flat, defs, path)


def _children(flat: Schema, defs: Mapping[str, Any], path: str) -> Schema:
    children: Schema = {}
    if flat.get("properties"):
        parts = flat["properties"].items()
        children["properties"] = {name: _convert(part, defs, f"{path}.{name}") for name, part in parts}
    if "items" in flat:
        children["items"] = _convert(flat["items"], defs, f"{path}[]")
    if isinstance(flat.get("additionalProperties"), Mapping):
        children["additionalProperties"] = _convert(flat["additionalProperties"], defs, f"{path}{{}}")
    elif flat.get("type") == "object" and "properties" not in flat:
        msg = f"{path}: an object without properties keeps no field; give it properties or typed values"
        raise UnsupportedSchemaError(msg)
    return children


def _resolve(schema: Mapping[str, Any], defs: Mapping[str, Any], path: str) -> Schema:
    """Follow `$ref` and unwrap `X | None` until neither is left; what stands outside wins over what it refers to."""
    flat = dict(schema)
    while "$ref" in flat or _is_optional(flat):
        if "$ref" in flat:
            inner = dict(defs[flat.pop("$ref").removeprefix("#/$defs/")])
        else:
            inner = next(part for part in flat.pop("anyOf") if part != _NULL)
        both = "x-kubernetes-validations"
        if both in inner and both in flat:
            inner[both] = [*inner[both], *flat[both]]
            del flat[both]
        flat = inner | flat
    if "anyOf" in flat and flat["anyOf"] != _INT_OR_STRING:
        msg = f"{path}: can't convert anyOf {flat['anyOf']}; only `X | None` and int-or-string are known"
        raise UnsupportedSchemaError(msg)
    return flat


def _is_optional(schema: Mapping[str, Any]) -> bool:
    parts = schema.get("anyOf", ())
    return len(parts) == 2 and _NULL in parts


def _clean(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    """Drop what is unset from a default: CRDs know no null there."""
    if isinstance(value, Mapping):
        return {key: _clean(part) for key, part in value.items() if part is not None}
    return value if not isinstance(value, list) else [_clean(part) for part in value]


def _one_paragraph(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
