"""Build a container's environment from all the sources that Kubernetes has for it."""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from kingmaker_laptop.node.expansion import expand
from kingmaker_laptop.node.fields import PodFacts, UnknownFieldError, field_value, resource_value
from kingmaker_laptop.node.podspec import Container, PodSpec

Document = dict[str, Any]

Source = tuple[str, str]
"""Collection (`configmaps` or `secrets`) and name, in the pod's namespace."""

Sources = Mapping[Source, Document | None]
"""What was found; None where nothing was."""


class ContainerConfigError(Exception):
    """The container can't be configured yet; waiting reason `CreateContainerConfigError`, tried again."""


def sources_of(container: Container) -> set[Source]:
    """Name every ConfigMap and Secret that the environment needs."""
    found: set[Source] = set()
    for item in container.env_from:
        if "configMapRef" in item:
            found.add(("configmaps", item["configMapRef"]["name"]))
        if "secretRef" in item:
            found.add(("secrets", item["secretRef"]["name"]))
    for item in container.env:
        value_from = item.get("valueFrom") or {}
        if "configMapKeyRef" in value_from:
            found.add(("configmaps", value_from["configMapKeyRef"]["name"]))
        if "secretKeyRef" in value_from:
            found.add(("secrets", value_from["secretKeyRef"]["name"]))
    return found


def build_environment(container: Container, *, pod: PodSpec, facts: PodFacts, sources: Sources) -> dict[str, str]:
    """Resolve `envFrom` and `env`, in order; later entries win, and see earlier ones in `$(VAR)`.

    Raises:
        ContainerConfigError: A source or key that isn't optional is missing, or a field can't be answered.
    """
    variables: dict[str, str] = {}
    for item in container.env_from:
        variables.update(_whole_source(item, pod.namespace, sources))
    for item in container.env:
        if "valueFrom" not in item:
            variables[item["name"]] = expand(item.get("value", ""), variables)
            continue
        value = _value_from(item["valueFrom"], container, pod, facts, sources)
        if value is not None:
            variables[item["name"]] = value
    return variables


def source_texts(kind: str, source: Document) -> dict[str, str]:
    """The entries of a ConfigMap or Secret as text; bytes that aren't UTF-8 are replaced."""
    return {key: value.decode(errors="replace") for key, value in source_bytes(kind, source).items()}


def source_bytes(kind: str, source: Document) -> dict[str, bytes]:
    """The entries of a ConfigMap (data and binaryData) or Secret."""
    if kind == "secrets":
        return {key: base64.b64decode(value) for key, value in (source.get("data") or {}).items()}
    texts = {key: value.encode() for key, value in (source.get("data") or {}).items()}
    return texts | {key: base64.b64decode(value) for key, value in (source.get("binaryData") or {}).items()}


def _whole_source(item: Document, namespace: str, sources: Sources) -> Iterator[tuple[str, str]]:
    kind, reference = (
        ("configmaps", item["configMapRef"]) if "configMapRef" in item else ("secrets", item.get("secretRef"))
    )
    if reference is None:
        raise ContainerConfigError(f"envFrom {sorted(item)}: this node knows configMapRef and secretRef")
    source = sources.get((kind, reference["name"]))
    if source is None:
        if reference.get("optional"):
            return
        raise _missing(kind, namespace, reference["name"])
    for key, value in source_texts(kind, source).items():
        yield item.get("prefix", "") + key, value


def _value_from(
    value_from: Document, container: Container, pod: PodSpec, facts: PodFacts, sources: Sources
) -> str | None:
    try:
        if "fieldRef" in value_from:
            return field_value(value_from["fieldRef"]["fieldPath"], pod, facts)
        if "resourceFieldRef" in value_from:
            return resource_value(value_from["resourceFieldRef"], pod, facts, container=container.name)
    except UnknownFieldError as error:
        raise ContainerConfigError(str(error)) from error
    if "configMapKeyRef" in value_from:
        return _key("configmaps", value_from["configMapKeyRef"], pod.namespace, sources)
    if "secretKeyRef" in value_from:
        return _key("secrets", value_from["secretKeyRef"], pod.namespace, sources)
    raise ContainerConfigError(
        f"valueFrom {sorted(value_from)}: this node knows fieldRef, resourceFieldRef, configMapKeyRef and secretKeyRef"
    )


def _key(kind: str, reference: Document, namespace: str, sources: Sources) -> str | None:
    source = sources.get((kind, reference["name"]))
    value = None if source is None else source_texts(kind, source).get(reference["key"])
    if value is not None or reference.get("optional"):
        return value
    if source is None:
        raise _missing(kind, namespace, reference["name"])
    raise ContainerConfigError(f"couldn't find key {reference['key']} in {_noun(kind)} {namespace}/{reference['name']}")


def _missing(kind: str, namespace: str, name: str) -> ContainerConfigError:
    return ContainerConfigError(f'{_noun(kind).lower()} "{name}" not found in namespace {namespace}')


def _noun(kind: str) -> str:
    return "ConfigMap" if kind == "configmaps" else "Secret"
