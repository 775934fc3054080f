"""Where a server is in its life. Probes read it, the server writes it."""

from dataclasses import dataclass

from kingmaker_serving.engine.registry import Registry
from kingmaker_serving.engine.served import ServedModel
from kingmaker_serving.protocol.pages import IndexEntry, ModelState
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

    def find(self, name: str, version: str = "") -> ServedModel:
        """Give a model that answers; see `Registry.find`."""
        return self.registry.find(name, version)

    def index(self) -> list[IndexEntry]:
        """List what is served, what is being loaded, and what was refused with the reason."""
        registry = self.registry
        state = ModelState.UNAVAILABLE if self.is_draining else ModelState.READY
        entries = [IndexEntry(model.settings.name, model.settings.version, state) for model in registry]
        for name, settings in registry.loading.items():
            entries.append(IndexEntry(name, settings.version, ModelState.LOADING))
        for name, refusal in registry.refused.items():
            entries.append(IndexEntry(name, refusal.version, ModelState.UNAVAILABLE, refusal.reason))
        return entries
