"""Turns pydantic's JSON Schema into the structural schema that a CRD must have.

Only what is known to mean the same in both is converted; anything else raises, so that a rule can't get lost unseen.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

Schema = dict[str, Any]

_KEPT: Final = frozenset(
    {
        "type", "format", "pattern", "enum", "required", "default", "minimum", "maximum",
        "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties",
        "x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
        "x-kubernetes-int-or-string",
    }
)  # fmt: skip
"""Keywords that mean the same in pydantic's JSON Schema and in a structural schema."""

_DROPPED: Final = frozenset({"$defs", "title"})
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


def _convert(schema: Mapping[str, Any], defs: Mapping[str, Any], path: str) -> Schema:
    result: Schema = {}
    for keyword, value in _resolve(schema, defs, path).items():
        result |= _keyword(keyword, value, defs, path)
    return result


def _keyword(keyword: str, value: Any, defs: Mapping[str, Any], path: str) -> Schema:  # noqa: ANN401 - a JSON value
    """Give what one keyword becomes; nothing for what a CRD has no use for."""
    match keyword:
        case "properties":
            return {keyword: {name: _convert(part, defs, f"{path}.{name}") for name, part in value.items()}}
        case "items":
            return {keyword: _convert(value, defs, f"{path}[]")}
        case "additionalProperties" if isinstance(value, Mapping):
            return {keyword: _convert(value, defs, f"{path}{{}}")}
        case "description":
            return {keyword: _one_paragraph(value)}
        case "const":
            return {"enum": [value]}
        case "default" if value is None:
            return {}
        case "anyOf":  # what is left of it after `_resolve` is int-or-string
            return {}
        case _ if keyword in _KEPT:
            return {keyword: _clean(value)}
        case _ if keyword in _DROPPED:
            return {}
        case _:
            msg = f"{path}: can't put {keyword} into a structural schema; express it otherwise"
            raise UnsupportedSchemaError(msg)


def _resolve(schema: Mapping[str, Any], defs: Mapping[str, Any], path: str) -> Schema:
    """Follow `$ref` and unwrap `X | None` until neither is left; what stands outside wins over what it refers to."""
    flat = _sized(schema)
    while "$ref" in flat or _is_optional(flat):
        if "$ref" in flat:
            inner = _sized(defs[flat.pop("$ref").removeprefix("#/$defs/")])
        else:
            inner = _sized(next(part for part in flat.pop("anyOf") if part != _NULL))
        both = "x-kubernetes-validations"
        if both in inner and both in flat:
            inner[both] = [*inner[both], *flat[both]]
            del flat[both]
        flat = inner | flat
    if "anyOf" in flat and flat["anyOf"] != _INT_OR_STRING:
        msg = f"{path}: can't convert anyOf {flat['anyOf']}; only `X | None` and int-or-string are known"
        raise UnsupportedSchemaError(msg)
    return flat


def _sized(schema: Mapping[str, Any]) -> Schema:
    """Copy, and say how wide integers are: Kubernetes keeps them as int64."""
    return {**schema, "format": "int64"} if schema.get("type") == "integer" else dict(schema)


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
