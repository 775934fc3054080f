"""What all pods of a node share."""

from collections.abc import Mapping
from dataclasses import dataclass

from kingmaker.kube.client import KubeClient
from kingmaker_laptop.node.checks import Checks
from kingmaker_laptop.node.events import EventRecorder
from kingmaker_laptop.node.fields import PodFacts
from kingmaker_laptop.node.settings import Settings
from kingmaker_laptop.node.sources import SourceWatches

HOST_IP = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class NodeTools:
    """The node's connections and settings; `allocatable` are its resources as quantities."""

    client: KubeClient
    settings: Settings
    events: EventRecorder
    checks: Checks
    watches: SourceWatches
    allocatable: Mapping[str, str]

    def facts(self, pod_ip: str) -> PodFacts:
        """What a pod with this address may ask about itself."""
        return PodFacts(pod_ip, HOST_IP, self.allocatable)
