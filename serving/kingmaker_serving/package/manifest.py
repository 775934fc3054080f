"""Write a `Model` manifest as YAML: block style, every text in JSON quotes, which YAML reads alike."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

API_VERSION: Final = "kingmaker.dev/v1alpha1"


def model_manifest(name: str, spec: Mapping[str, Any], *, labels: Mapping[str, str]) -> str:
    """Write the manifest of a Model."""
    metadata: dict[str, Any] = {"name": name} | ({"labels": dict(labels)} if labels else {})
    document = {"apiVersion": API_VERSION, "kind": "Model", "metadata": metadata, "spec": spec}
    return "\n".join(_lines(document, "")) + "\n"


def _lines(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            yield f"{indent}{key}:"
            yield from _lines(item, indent + "  ")
        elif isinstance(item, list) and item and isinstance(item[0], Mapping):
            yield f"{indent}{key}:"
            for entry in item:
                first, *rest = _lines(entry, "")
                yield f"{indent}- {first}"
                yield from (f"{indent}  {line}" for line in rest)
        else:
            yield f"{indent}{key}: {_scalar(item)}"


def _scalar(value: Any) -> str:  # noqa: ANN401  # JSON
    is_word = isinstance(value, str) and value.isascii() and value.replace("-", "").isalpha() and len(value) > 3
    if is_word and value.lower() not in {"true", "false", "null"}:
        return str(value)
    return json.dumps(value, ensure_ascii=False)
