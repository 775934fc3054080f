"""The objects that a controller made, as it wrote them: what its managed fields say, cut out of the live objects."""

import json
from collections.abc import Mapping
from typing import Any, Final

Document = dict[str, Any]

_SERVICE: Final = ("clusterIP", "clusterIPs")
_JOB: Final = ("controller-uid", "job-name")
"""Parts of labels that the API server itself gives a Job's pods."""


def as_written(body: Document, manager: str) -> Document | None:
    """Give the object as `manager` wrote it, without owners: it can be applied where its owners are not.

    Args:
        body: A live object with its managed fields.
        manager: Name of a field manager.

    Returns:
        None when the manager owns nothing of it beside its status.
    """
    written: Document = {}
    for entry in body["metadata"].get("managedFields", ()):
        if entry["manager"] == manager and not entry.get("subresource"):
            written = _merged(written, _cut(body, entry["fieldsV1"]))
    if not written:
        return None
    meta = written.get("metadata", {})
    head = {key: meta[key] for key in ("labels", "annotations") if key in meta}
    names = {key: body["metadata"][key] for key in ("name", "namespace")}
    written |= {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": names | head}
    return _without_servers_own(written)


def _cut(live: Any, fields: Mapping[str, Any]) -> Any:
    """Cut out what a FieldsV1 set names. Source: structured-merge-diff, `f:` fields, `k:` items by key, `v:` values."""
    if not any(key != "." for key in fields):
        return live
    if isinstance(live, dict):
        named = {key[2:]: inner for key, inner in fields.items() if key.startswith("f:")}
        return {name: _cut(live[name], inner) for name, inner in named.items() if name in live}
    keyed = [(json.loads(key[2:]), inner) for key, inner in fields.items() if key.startswith("k:")]
    found = []
    for item in live:
        for key, inner in keyed:
            if all(item.get(name) == value for name, value in key.items()):
                found.append(key | _cut(item, inner))
    values = [json.loads(key[2:]) for key in fields if key.startswith("v:")]
    return found + [item for item in live if item in values]


def _merged(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return one | {key: _merged(one[key], value) if key in one else value for key, value in other.items()}
    return other


def _without_servers_own(written: Document) -> Document:
    spec = written.get("spec", {})
    match written["kind"]:
        case "Service":
            written["spec"] = {key: value for key, value in spec.items() if key not in _SERVICE}
        case "Job":
            template = spec.get("template", {})
            labels = template.get("metadata", {}).get("labels", {})
            own = {key: value for key, value in labels.items() if not key.endswith(_JOB)}
            metadata = {"metadata": {"labels": own}} if own else {}
            spec = {key: value for key, value in spec.items() if key != "selector"}
            written["spec"] = spec | {"template": template | metadata}
            head = written["metadata"]
            head["labels"] = {k: v for k, v in head.get("labels", {}).items() if not k.endswith(_JOB)}
        case _:
            pass
    return written
