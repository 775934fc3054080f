"""Where a server is in its life. Probes read it, the server writes it."""

from dataclasses import dataclass

from kingmaker_serving.engine.registry import Registry
from kingmaker_serving.shadow.shadowing import Shadow


@dataclass(slots=True)
class State:
    """Loading until what is wanted was loaded or refused; then ready until it drains."""

    registry: Registry
    shadow: Shadow | None = None
    is_loaded: bool = False
    is_draining: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether requests should be sent here."""
        return self.is_loaded and not self.is_draining
