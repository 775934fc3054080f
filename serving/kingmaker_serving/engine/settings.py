"""What `serve` was told: by its command line, and by a pod's environment."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kingmaker_serving.models.loading import Digests
from kingmaker_serving.protocol.signature import Task, read_task


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a server needs to know. Durations in seconds, sizes in bytes."""

    folder: Path
    digests: Digests
    model_name: str
    model_version: str
    task: Task | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    management_port: int = 8082
    shadow_targets: Path | None = None
    max_request_bytes: int = 16 * 1024**2
    max_response_bytes: int = 64 * 1024**2
    drain_seconds: float = 45.0
    deadline_seconds: float = 30.0
    body_seconds: float = 10.0
    workers: int = 2
    threads: int = 1
    queue: int = 64
    pod_name: str = ""
    pod_ip: str = ""
    feedback_key: bytes = b""

    @classmethod
    def read(cls, args: argparse.Namespace, environ: Mapping[str, str]) -> "Settings":
        """Take the command line and the environment.

        Raises:
            VerbError: `--task` can't be read.
        """
        return cls(
            folder=args.dir,
            digests=Digests(args.model_digest, args.baseline_digest, args.examples_digest),
            model_name=args.model_name,
            model_version=args.model_version,
            task=read_task(args.task) if args.task else None,
            host=args.host,
            port=args.port,
            management_port=args.management_port,
            shadow_targets=args.shadow_targets,
            max_request_bytes=args.max_request_bytes,
            max_response_bytes=args.max_response_bytes,
            drain_seconds=args.drain_seconds,
            deadline_seconds=args.deadline_seconds,
            body_seconds=args.body_seconds,
            workers=args.workers,
            threads=args.threads,
            queue=args.queue or 32 * args.workers,
            pod_name=environ.get("KINGMAKER_POD_NAME", ""),
            pod_ip=environ.get("KINGMAKER_POD_IP", "") or args.host,
            feedback_key=environ.get("KINGMAKER_FEEDBACK_KEY", "").encode(),
        )
