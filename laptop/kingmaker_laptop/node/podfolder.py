"""Where a pod lives on disk, and what of it must survive the node process.

pods/UID/state.json                     name, address, start time, how it ended
pods/UID/volumes/NAME/                  its volumes
pods/UID/home/                          HOME and default working directory
pods/UID/containers/NAME/ATTEMPT/       one folder per run: run.json, started.json, exit.json, log, termination-log
"""

import json
import shutil
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from kingmaker_laptop.node.states import Ending
from kingmaker_laptop.node.times import format_micro_time, parse_time

_KEPT_ATTEMPTS = 2
"""This run and the one before it, for `kubectl logs --previous`."""


@dataclass(frozen=True, slots=True)
class PodState:
    """What the node decided about a pod and must not decide anew."""

    namespace: str
    name: str
    ip: str
    started_at: datetime
    ending: Ending | None = None


class PodFolder:
    """One pod's folder; its name is the pod's UID."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def uid(self) -> str:
        """UID of the pod."""
        return self.path.name

    @property
    def volumes(self) -> Path:
        """Parent of the volumes' folders."""
        return self.path / "volumes"

    @property
    def home(self) -> Path:
        """HOME of the containers."""
        return self.path / "home"

    def create(self) -> None:
        """Make the folders, for the node's user only."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.volumes.mkdir(exist_ok=True)
        self.home.mkdir(exist_ok=True)

    def read_state(self) -> PodState | None:
        """Read what an earlier node process wrote; None when there is nothing (whole)."""
        try:
            found = json.loads((self.path / "state.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        ending = Ending(**found["ending"]) if found["ending"] else None
        return PodState(found["namespace"], found["name"], found["ip"], parse_time(found["started_at"]), ending)

    def write_state(self, state: PodState) -> None:
        """Replace what is remembered."""
        content = asdict(state) | {"started_at": format_micro_time(state.started_at)}
        temporary = self.path / "state.json.tmp"
        temporary.write_text(json.dumps(content))
        temporary.replace(self.path / "state.json")

    def containers(self) -> list[str]:
        """Names of the containers that have run."""
        folder = self.path / "containers"
        return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []

    def attempts(self, container: str) -> list[int]:
        """Numbers of the runs that are still on disk, oldest first."""
        folder = self.path / "containers" / container
        return sorted(int(entry.name) for entry in folder.iterdir()) if folder.is_dir() else []

    def attempt(self, container: str, number: int) -> Path:
        """Folder of one run."""
        return self.path / "containers" / container / str(number)

    def prune(self, container: str) -> None:
        """Forget all runs but the newest ones."""
        for number in self.attempts(container)[:-_KEPT_ATTEMPTS]:
            shutil.rmtree(self.attempt(container, number), ignore_errors=True)
