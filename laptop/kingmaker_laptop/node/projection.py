"""Which files ConfigMap, Secret, downwardAPI and projected volumes show. Pure: sources in, files out."""

from collections.abc import Iterator, Mapping
from typing import Any

from kingmaker_laptop.node.atomicdir import File
from kingmaker_laptop.node.environment import ContainerConfigError, Source, Sources, source_bytes
from kingmaker_laptop.node.fields import PodFacts, UnknownFieldError, field_value, resource_value
from kingmaker_laptop.node.podspec import PodSpec

Document = dict[str, Any]

_DEFAULT_MODE = 0o644
_NO_WRITE = ~0o222

_KINDS = {"configMap": "configmaps", "secret": "secrets"}


class VolumeError(Exception):
    """A volume that isn't there yet; the pod waits, with a FailedMount event."""


def volume_sources(volume: Document) -> set[Source]:
    """Name every ConfigMap and Secret that a volume shows."""
    return {
        (_KINDS[kind], part[kind].get("name") or part[kind].get("secretName"))
        for part in _parts(volume)
        for kind in _KINDS
        if kind in part
    }


def token_requests(volume: Document) -> list[Document]:
    """The `serviceAccountToken` parts of a projected volume."""
    return [part["serviceAccountToken"] for part in _parts(volume) if "serviceAccountToken" in part]


def volume_files(
    volume: Document, *, pod: PodSpec, facts: PodFacts, sources: Sources, tokens: Mapping[str, str]
) -> dict[str, File]:
    """Collect a volume's files by relative path.

    Args:
        volume: The volume, of one of the four kinds.
        pod: Whose volume it is.
        facts: For the downward API.
        sources: ConfigMaps and Secrets.
        tokens: Service account tokens by their path in the volume.

    Raises:
        VolumeError: A source, key or field that isn't optional is missing.
    """
    mode = _volume_mode(volume)
    files: dict[str, File] = {}
    for part in _parts(volume):
        for path, content, own_mode in _part_files(part, pod, facts, sources, tokens):
            # The kubelet mounts these read-only; here the permission bits have to say so.
            files[path] = File(content, (mode if own_mode is None else own_mode) & _NO_WRITE)
    return files


def _parts(volume: Document) -> list[Document]:
    if "projected" in volume:
        return list(volume["projected"].get("sources") or [])
    return [{kind: volume[kind]} for kind in ("configMap", "secret", "downwardAPI") if kind in volume]


def _volume_mode(volume: Document) -> int:
    for kind in ("projected", "configMap", "secret", "downwardAPI"):
        if kind in volume:
            return int(volume[kind].get("defaultMode", _DEFAULT_MODE))
    return _DEFAULT_MODE


Entry = tuple[str, bytes, int | None]


def _part_files(
    part: Document, pod: PodSpec, facts: PodFacts, sources: Sources, tokens: Mapping[str, str]
) -> Iterator[Entry]:
    for kind, collection in _KINDS.items():
        if kind in part:
            yield from _source_files(part[kind], collection, pod.namespace, sources)
    if "downwardAPI" in part:
        yield from _downward_files(part["downwardAPI"], pod, facts)
    if "serviceAccountToken" in part:
        path = part["serviceAccountToken"]["path"]
        yield path, tokens[path].encode(), 0o600


def _source_files(part: Document, collection: str, namespace: str, sources: Sources) -> Iterator[Entry]:
    name = part.get("name") or part.get("secretName") or ""
    source = sources.get((collection, name))
    if source is None:
        if part.get("optional"):
            return
        raise VolumeError(f'{collection.rstrip("s")} "{name}" not found in namespace {namespace}')
    content = source_bytes(collection, source)
    if not part.get("items"):
        for key, value in content.items():
            yield key, value, None
        return
    for item in part["items"]:
        if item["key"] in content:
            yield item["path"], content[item["key"]], item.get("mode")
        elif not part.get("optional"):
            raise VolumeError(f"{collection.rstrip('s')} {namespace}/{name} has no key {item['key']}")


def _downward_files(part: Document, pod: PodSpec, facts: PodFacts) -> Iterator[Entry]:
    for item in part.get("items") or []:
        try:
            if "fieldRef" in item:
                value = field_value(item["fieldRef"]["fieldPath"], pod, facts)
            else:
                reference = item["resourceFieldRef"]
                value = resource_value(reference, pod, facts, container=reference["containerName"])
        except (UnknownFieldError, ContainerConfigError) as error:
            raise VolumeError(str(error)) from error
        yield item["path"], value.encode(), item.get("mode")
