"""The folder that one laptop cluster lives in: which file is where."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Home:
    """Paths below one `--dir`. Everything a cluster keeps is in there, and nothing of it anywhere else."""

    folder: Path

    @property
    def kubeconfig(self) -> Path:
        """For people: cluster administrator."""
        return self.folder / "kubeconfig"

    @property
    def credentials(self) -> Path:
        """Certificates, keys, tokens and the kubeconfigs of the programs."""
        return self.folder / "credentials"

    @property
    def logs(self) -> Path:
        """One file per program."""
        return self.folder / "logs"

    @property
    def records(self) -> Path:
        """One file per running program: its process id and when that process began."""
        return self.folder / "processes"

    @property
    def etcd(self) -> Path:
        """All objects of the cluster."""
        return self.folder / "etcd"

    @property
    def node(self) -> Path:
        """What the process node keeps: pods, their volumes and logs."""
        return self.folder / "node"

    @property
    def status(self) -> Path:
        """Where the supervisor writes how far it is."""
        return self.folder / "status.json"

    @property
    def ports(self) -> Path:
        """The ports that were chosen, kept so that they stay."""
        return self.folder / "ports.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor as long as it lives."""
        return self.folder / "lock"

    def user_kubeconfig(self, user: str) -> Path:
        """Give the kubeconfig of one program."""
        return self.credentials / f"{user}.kubeconfig"

    def log(self, program: str) -> Path:
        """Give the log of one program."""
        return self.logs / f"{program}.log"

    def prepare(self) -> None:
        """Create the folders; others than the owner may not look inside, for keys and tokens are there."""
        for path in (self.folder, self.credentials, self.logs, self.records, self.etcd, self.node):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)


def default_folder() -> Path:
    """Give the folder that is used when nobody names one."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "kingmaker" / "default"
