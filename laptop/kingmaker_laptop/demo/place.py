"""Where the demo takes place: on a laptop's own cluster, or on any other that the tests bring along."""

from pathlib import Path
from typing import Protocol

from kingmaker_laptop.demo.client import Traffic


class Place(Protocol):
    """What the steps need of a cluster. Whatever goes wrong in it is a DemoError."""

    @property
    def slack_seconds(self) -> float:
        """Give how much longer than on a laptop a step may take: a kubelet looks at ConfigMaps once a minute."""

    async def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as a person would and give its stdout."""

    async def url(self, namespace: str, name: str) -> str:
        """Give the base URL of a ModelDeployment, as clients of this place reach it."""

    async def start_traffic(self, *, url: str, model: str, rate: float, rows: Path, fresh: Path) -> Traffic:
        """Start the load generator.

        Args:
            url: Base URL of the router.
            model: Name of the ModelDeployment.
            rate: Requests per second.
            rows: Folder with `recorded.csv` and `judged.csv`.
            fresh: Where it writes labelled rows for retraining, if this place has no other.
        """

    def log(self, name: str) -> Path:
        """Say where a program's log is; it need not exist."""
