"""What `serve` was told: by its command line, by a pod's environment, and by the file of models."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kingmaker_serving.engine.cpus import cpus
from kingmaker_serving.models.loading import Digests
from kingmaker_serving.protocol.signature import Task, read_task


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one model's requests. Durations in seconds, sizes in bytes."""

    max_request_bytes: int = 16 * 1024**2
    """Of a request's tensors together, once decoded."""
    max_response_bytes: int = 64 * 1024**2
    deadline_seconds: float = 30.0
    workers: int = 2
    threads: int = 1
    queue: int = 64
    max_rows: int = 64
    """Rows of several requests that run together."""
    max_delay: float = 0.0
    """How long a request may wait for others."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """One model: where its files are, what it is called, how it is run."""

    folder: Path
    digests: Digests
    name: str
    """In the protocol: the ModelDeployment's."""
    version: str
    """The Model's."""
    task: Task | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Settings:
    """The process. Durations in seconds, sizes in bytes."""

    model: ModelSettings | None
    """The only one; None where a file says which."""
    models_file: Path | None = None
    limits: Limits = field(default_factory=Limits)
    """Of models that the file gives none."""
    host: str = "127.0.0.1"
    port: int = 8080
    grpc_port: int = 8081
    """0 for none."""
    management_port: int = 8082
    shadow_targets: Path | None = None
    max_request_bytes: int = 16 * 1024**2
    drain_seconds: float = 45.0
    body_seconds: float = 10.0
    pod_name: str = ""
    pod_ip: str = ""
    id_keys: Path | None = None

    @classmethod
    def read(cls, args: argparse.Namespace, environ: Mapping[str, str]) -> "Settings":
        """Take the command line and the environment.

        Raises:
            VerbError: `--task` can't be read.
        """
        workers = args.workers or cpus()
        limits = Limits(
            max_request_bytes=args.max_request_bytes,
            max_response_bytes=args.max_response_bytes,
            deadline_seconds=args.deadline_seconds,
            workers=workers,
            threads=args.threads,
            queue=args.queue or 32 * workers,
            max_rows=args.batch_max_rows,
            max_delay=args.batch_max_delay,
        )
        return cls(
            model=None if args.models else _one(args, limits),
            models_file=args.models,
            limits=limits,
            host=args.host,
            port=args.port,
            grpc_port=args.grpc_port,
            management_port=args.management_port,
            shadow_targets=args.shadow_targets,
            max_request_bytes=args.max_request_bytes,
            drain_seconds=args.drain_seconds,
            body_seconds=args.body_seconds,
            pod_name=environ.get("KINGMAKER_POD_NAME", ""),
            pod_ip=environ.get("KINGMAKER_POD_IP", "") or args.host,
            id_keys=args.id_keys,
        )


def _one(args: argparse.Namespace, limits: Limits) -> ModelSettings:
    return ModelSettings(
        folder=args.dir,
        digests=Digests(args.model_digest, args.baseline_digest, args.examples_digest),
        name=args.model_name,
        version=args.model_version,
        task=read_task(args.task) if args.task else None,
        limits=limits,
    )
