"""What a pod asks for, read once from the API's JSON into values that the rest of the node works with."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from kingmaker_laptop.node.probespec import Hook, Probe, parse_hook, parse_probe

Document = dict[str, Any]

DEFAULT_TERMINATION_LOG: Final = "/dev/termination-log"


class RestartPolicy(StrEnum):
    """When an exited container is started again."""

    ALWAYS = "Always"
    ON_FAILURE = "OnFailure"
    NEVER = "Never"


@dataclass(frozen=True, slots=True)
class Mount:
    """One `volumeMounts` entry; `sub_path_expr` may hold `$(VAR)`."""

    volume: str
    path: str
    sub_path: str = ""
    sub_path_expr: str = ""
    is_read_only: bool = False


@dataclass(frozen=True, slots=True)
class Container:
    """One container; `env` and `env_from` stay as the API writes them until its start."""

    name: str
    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    env: tuple[Document, ...] = ()
    env_from: tuple[Document, ...] = ()
    mounts: tuple[Mount, ...] = ()
    requests: Mapping[str, str] | None = None
    limits: Mapping[str, str] | None = None
    ports: Mapping[str, int] | None = None
    startup: Probe | None = None
    readiness: Probe | None = None
    liveness: Probe | None = None
    post_start: Hook | None = None
    pre_stop: Hook | None = None
    termination_log: str = DEFAULT_TERMINATION_LOG
    falls_back_to_logs: bool = False


@dataclass(frozen=True, slots=True)
class PodSpec:
    """One pod. `document` is the API object as last seen, for the rare fields that are read in one place only."""

    namespace: str
    name: str
    uid: str
    init: tuple[Container, ...]
    main: tuple[Container, ...]
    restart_policy: RestartPolicy
    volumes: Mapping[str, Document]
    grace_seconds: int
    deadline_seconds: int | None
    readiness_gates: tuple[str, ...]
    is_host_network: bool
    document: Document

    @property
    def containers(self) -> tuple[Container, ...]:
        """All containers, init containers first, in the order of the spec."""
        return self.init + self.main

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of the pod."""
        return self.document["metadata"].get("labels") or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        """Annotations of the pod."""
        return self.document["metadata"].get("annotations") or {}

    @property
    def is_deleted(self) -> bool:
        """Whether its deletion has begun."""
        return bool(self.document["metadata"].get("deletionTimestamp"))

    @property
    def deletion_grace_seconds(self) -> int:
        """Seconds its processes have to end, at least 1; what the deletion says wins over the spec."""
        given = self.document["metadata"].get("deletionGracePeriodSeconds")
        return max(1, self.grace_seconds if given is None else int(given))

    def container(self, name: str) -> Container:
        """The container of that name."""
        return next(one for one in self.containers if one.name == name)


def parse_pod(pod: Document) -> PodSpec:
    """Read a pod that the API server has accepted: its defaults are filled in."""
    metadata, spec = pod["metadata"], pod["spec"]
    return PodSpec(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        init=tuple(_parse_container(item) for item in spec.get("initContainers") or []),
        main=tuple(_parse_container(item) for item in spec["containers"]),
        restart_policy=RestartPolicy(spec.get("restartPolicy", "Always")),
        volumes={item["name"]: item for item in spec.get("volumes") or []},
        grace_seconds=int(spec.get("terminationGracePeriodSeconds", 30)),
        deadline_seconds=spec.get("activeDeadlineSeconds"),
        readiness_gates=tuple(gate["conditionType"] for gate in spec.get("readinessGates") or []),
        is_host_network=bool(spec.get("hostNetwork")),
        document=pod,
    )


def _parse_container(item: Document) -> Container:
    resources = item.get("resources") or {}
    lifecycle = item.get("lifecycle") or {}
    ports = {port["name"]: int(port["containerPort"]) for port in item.get("ports") or [] if port.get("name")}
    return Container(
        name=item["name"],
        image=item.get("image", ""),
        command=tuple(item.get("command") or ()),
        args=tuple(item.get("args") or ()),
        working_dir=item.get("workingDir", ""),
        env=tuple(item.get("env") or ()),
        env_from=tuple(item.get("envFrom") or ()),
        mounts=tuple(_parse_mount(mount) for mount in item.get("volumeMounts") or []),
        requests=resources.get("requests") or {},
        limits=resources.get("limits") or {},
        ports=ports,
        startup=parse_probe(item.get("startupProbe"), ports),
        readiness=parse_probe(item.get("readinessProbe"), ports),
        liveness=parse_probe(item.get("livenessProbe"), ports),
        post_start=parse_hook(lifecycle.get("postStart"), ports),
        pre_stop=parse_hook(lifecycle.get("preStop"), ports),
        termination_log=item.get("terminationMessagePath") or DEFAULT_TERMINATION_LOG,
        falls_back_to_logs=item.get("terminationMessagePolicy") == "FallbackToLogsOnError",
    )


def _parse_mount(item: Document) -> Mount:
    return Mount(
        volume=item["name"],
        path=item["mountPath"].rstrip("/") or "/",
        sub_path=item.get("subPath", ""),
        sub_path_expr=item.get("subPathExpr", ""),
        is_read_only=bool(item.get("readOnly")),
    )
