"""Where a server is in its life. Probes read it, the server writes it."""

from dataclasses import dataclass

from kingmaker_serving.engine.served import ServedModel
from kingmaker_serving.shadow.shadowing import Shadow


@dataclass(slots=True)
class State:
    """Loading until there is a model; then ready until it drains."""

    model: ServedModel | None = None
    shadow: Shadow | None = None
    is_draining: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether requests should be sent here."""
        return self.model is not None and not self.is_draining
