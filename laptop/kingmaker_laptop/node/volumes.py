"""Give a pod its volumes as folders, and keep their files up to date while it runs."""

import asyncio
import os
import shutil
import stat
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from kingmaker.kube.client import KubeClient
from kingmaker.kube.errors import ApiError
from kingmaker_laptop.node.atomicdir import write_files
from kingmaker_laptop.node.fields import PodFacts
from kingmaker_laptop.node.podspec import Mount, PodSpec
from kingmaker_laptop.node.projection import VolumeError, token_requests, volume_files, volume_sources
from kingmaker_laptop.node.sources import SourceWatches
from kingmaker_laptop.node.times import parse_time, utc_now

Document = dict[str, Any]

_TOKEN_PART: Final = 0.8
"""A token is replaced after this part of its life; the kubelet does the same."""

_WATCHED: Final = ("configMap", "secret", "downwardAPI", "projected")


class PodVolumes:
    """The volumes of one pod.

    Args:
        client: For claims and tokens.
        watches: For ConfigMaps and Secrets.
        folder: Where this pod's volumes live.
        on_change: Called when a volume's files have to be written again; must not block.
    """

    def __init__(
        self, client: KubeClient, watches: SourceWatches, folder: Path, *, on_change: Callable[[], None]
    ) -> None:
        self._client = client
        self._watches = watches
        self._folder = folder
        self._on_change = on_change
        self._paths: dict[str, Path] = {}
        self._tokens: dict[tuple[str, str], tuple[str, datetime]] = {}

    @property
    def refresh_at(self) -> datetime | None:
        """When the next token has to be replaced."""
        return min((when for _, when in self._tokens.values()), default=None)

    async def mount(self, pod: PodSpec, facts: PodFacts) -> None:
        """Make every volume's folder, or bring its files up to date.

        Raises:
            VolumeError: Something that a volume needs isn't there (yet).
            ApiError: The API server doesn't answer.
        """
        for name, volume in pod.volumes.items():
            self._paths[name] = await self._mount_one(name, volume, pod, facts)

    def path_of(self, mount: Mount, sub_path: str) -> Path:
        """The real path of a mount; a missing `subPath` becomes a folder.

        Raises:
            VolumeError: The sub path leads out of the volume.
        """
        root = self._paths[mount.volume]
        if not sub_path:
            return root
        inside = Path(os.path.realpath(root / sub_path))
        if not inside.is_relative_to(os.path.realpath(root)):
            raise VolumeError(f"subPath {sub_path!r} leads out of volume {mount.volume}")
        if not inside.exists():
            inside.mkdir(parents=True)
        return inside

    def protect_read_only(self, pod: PodSpec) -> None:
        """Take write permission from each emptyDir that all main containers mount read-only."""
        for name, volume in pod.volumes.items():
            mounts = [mount for container in pod.main for mount in container.mounts if mount.volume == name]
            if "emptyDir" in volume and mounts and all(mount.is_read_only for mount in mounts):
                _change_modes(self._paths[name], clear=0o222)

    async def remove(self, uid: str) -> None:
        """Delete what the pod's volumes hold. Host folders stay."""
        self._watches.release(uid)
        await asyncio.to_thread(remove_tree, self._folder)

    async def _mount_one(self, name: str, volume: Document, pod: PodSpec, facts: PodFacts) -> Path:
        folder = self._folder / name
        if any(kind in volume for kind in _WATCHED):
            await self._write(folder, name, volume, pod, facts)
            return folder
        if "hostPath" in volume:
            return _host_path(volume["hostPath"]["path"], volume["hostPath"].get("type") or "")
        if "persistentVolumeClaim" in volume:
            return await self._claimed_path(volume["persistentVolumeClaim"]["claimName"], pod.namespace)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    async def _write(self, folder: Path, name: str, volume: Document, pod: PodSpec, facts: PodFacts) -> None:
        sources = {}
        for collection, source in volume_sources(volume):
            key = (collection, pod.namespace, source)
            sources[(collection, source)] = await self._watches.follow(key, pod.uid, self._on_change)
        tokens = {part["path"]: await self._token(name, part, pod) for part in token_requests(volume)}
        write_files(folder, volume_files(volume, pod=pod, facts=facts, sources=sources, tokens=tokens))

    async def _token(self, volume: str, part: Document, pod: PodSpec) -> str:
        key = (volume, part["path"])
        known = self._tokens.get(key)
        if known and utc_now() < known[1]:
            return known[0]
        account = pod.document["spec"].get("serviceAccountName") or "default"
        bound = {"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid}
        spec: Document = {"expirationSeconds": part.get("expirationSeconds", 3600), "boundObjectRef": bound}
        spec["audiences"] = [part["audience"]] if part.get("audience") else []
        path = f"/api/v1/namespaces/{pod.namespace}/serviceaccounts/{account}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        try:
            status = (await self._client.create(path, body))["status"]
        except ApiError as error:
            if error.is_lasting:
                raise VolumeError(f"token of service account {account}: {error}") from error
            raise
        life = parse_time(status["expirationTimestamp"]) - utc_now()
        self._tokens[key] = (status["token"], utc_now() + max(life * _TOKEN_PART, timedelta(seconds=30)))
        return str(status["token"])

    async def _claimed_path(self, claim: str, namespace: str) -> Path:
        where = f"persistentVolumeClaim {namespace}/{claim}"
        try:
            found = await self._client.get(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}")
            name = found["spec"].get("volumeName")
            if not name or found.get("status", {}).get("phase") != "Bound":
                raise VolumeError(f"{where} isn't bound to a volume yet")
            volume = (await self._client.get(f"/api/v1/persistentvolumes/{name}"))["spec"]
        except ApiError as error:
            if error.is_lasting:
                raise VolumeError(f"{where}: {error}") from error
            raise
        if "hostPath" in volume:
            return _host_path(volume["hostPath"]["path"], volume["hostPath"].get("type") or "DirectoryOrCreate")
        if "local" in volume:
            return _host_path(volume["local"]["path"], "")
        raise VolumeError(f"{where}: volume {name} is neither a hostPath nor a local one")


def _host_path(text: str, kind: str) -> Path:
    path = Path(text)
    if kind == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True)
    elif kind == "FileOrCreate":
        path.touch(exist_ok=True)
    wanted: dict[str, Callable[[], bool]] = {
        "Directory": path.is_dir,
        "File": path.is_file,
        "Socket": path.is_socket,
        "CharDevice": path.is_char_device,
        "BlockDevice": path.is_block_device,
    }
    if kind in wanted and not wanted[kind]():
        raise VolumeError(f"hostPath {path} is not a {kind}")
    return path


def remove_tree(folder: Path) -> None:
    """Delete a folder that may hold folders without write permission."""
    if not folder.is_dir():
        return
    for root, names, _ in os.walk(folder):
        for name in names:
            path = Path(root, name)
            if not path.is_symlink():
                path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _change_modes(folder: Path, *, clear: int) -> None:
    for root, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(root, name)
            if not path.is_symlink():
                path.chmod(stat.S_IMODE(path.stat().st_mode) & ~clear)
    folder.chmod(stat.S_IMODE(folder.stat().st_mode) & ~clear)
