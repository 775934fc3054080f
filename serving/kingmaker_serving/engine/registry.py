"""The models of a process: each loaded, tested, warmed, swapped, drained and unloaded on its own."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kingmaker_serving.engine.pace import Pace, measure
from kingmaker_serving.engine.served import ServedModel
from kingmaker_serving.engine.settings import ModelSettings
from kingmaker_serving.errors import ErrorCode, ServingError, VerbError
from kingmaker_serving.models.loading import LoadedModel, load_model

logger = logging.getLogger(__name__)

Make = Callable[[ModelSettings, LoadedModel, Pace], ServedModel]
_DRAIN_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A model that is wanted and can't be served, and why."""

    version: str
    reason: str


class Registry:
    """What is served now, by name. One that can't be loaded leaves the others, and its own last good version, alone."""

    def __init__(self, make: Make) -> None:
        """Serve nothing yet.

        Args:
            make: Makes a model that was loaded one that is served.
        """
        self.make = make
        self._served: dict[str, ServedModel] = {}
        self._draining: set[asyncio.Task[None]] = set()
        self.refused: dict[str, Refusal] = {}
        self.loading: dict[str, ModelSettings] = {}
        self.on_change: Callable[[], None] = lambda: None
        """Called when what is served has changed."""

    @property
    def served(self) -> Mapping[str, ServedModel]:
        """By name."""
        return self._served

    def __iter__(self) -> Iterator[ServedModel]:
        """All that are served."""
        return iter(list(self._served.values()))

    def find(self, name: str, version: str = "") -> ServedModel:
        """Give a model.

        Args:
            name: Of it.
            version: Empty for the one that is served.

        Raises:
            ServingError: NOT_FOUND; NOT_READY while it loads or when it was refused.
        """
        model = self._served.get(name)
        if model is not None and version in {"", model.settings.version}:
            return model
        if name in self.loading:
            raise ServingError(ErrorCode.NOT_READY, f"model {name!r} is being loaded")
        if model is not None:
            text = f"model {name!r} has version {model.settings.version!r}, not {version[:100]!r}"
            raise ServingError(ErrorCode.NOT_FOUND, text)
        if name in self.refused:
            raise ServingError(ErrorCode.NOT_READY, f"model {name!r} can't be served; the repository's index says why")
        known = ", ".join(repr(known) for known in sorted(self._served)[:3]) or "none"
        more = f" and {len(self._served) - 3} more" if len(self._served) > 3 else ""
        raise ServingError(ErrorCode.NOT_FOUND, f"there is no model {name[:100]!r}; the models here are {known}{more}")

    async def follow(self, wanted: Sequence[ModelSettings], problems: Mapping[str, str] | None = None) -> None:
        """Serve what is wanted, and nothing else. A model is replaced when its new version is ready, not before.

        Args:
            wanted: One version of a name.
            problems: Names with why nobody knows what is wanted of them; what is served of them stays.
        """
        names = {settings.name for settings in wanted} | set(problems or ())
        for name in [name for name in self._served if name not in names]:
            self._retire(self._served.pop(name))
        self.refused = {name: refusal for name, refusal in self.refused.items() if name in names}
        for name, reason in (problems or {}).items():
            self._refuse(name, "", reason)
        self.on_change()
        for settings in wanted:
            before = self._served.get(settings.name)
            if before is None or before.settings != settings:
                await self._load(settings)

    async def close(self) -> None:
        """End what runs."""
        for task in self._draining:
            task.cancel()
        for model in self:
            model.close()

    def put(self, model: ServedModel) -> None:
        """Serve a model that is ready, instead of the one of its name."""
        before = self._served.get(model.settings.name)
        self._served[model.settings.name] = model
        self.refused.pop(model.settings.name, None)
        self.on_change()
        if before is not None:
            self._retire(before)

    async def _load(self, settings: ModelSettings) -> None:
        self.loading[settings.name] = settings
        try:
            loaded, pace = await asyncio.to_thread(load, settings)
            self.put(self.make(settings, loaded, pace))
        except VerbError as error:
            self._refuse(settings.name, settings.version, f"{error.reason}: {error.message}")
        except Exception as error:  # whatever it is, it is one model's
            logger.exception("loading failed by a bug", extra={"model": settings.name})
            self._refuse(settings.name, settings.version, f"Internal: {type(error).__name__}")
        finally:
            self.loading.pop(settings.name, None)

    def _refuse(self, name: str, version: str, reason: str) -> None:
        logger.error("model refused", extra={"model": name, "version": version, "reason": reason})
        self.refused[name] = Refusal(version, reason)

    def _retire(self, model: ServedModel) -> None:
        task = asyncio.ensure_future(self._drain(model))
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)

    async def _drain(self, model: ServedModel) -> None:
        """Let the requests that it has be answered, then let it go."""
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                await model.idle()
        except TimeoutError:
            model.abandon(ServingError(ErrorCode.NOT_READY, "this version is not served any more; ask again"))
        await asyncio.to_thread(model.close)
        logger.info("unloaded", extra={"model": model.settings.name, "version": model.settings.version})


def load(settings: ModelSettings) -> tuple[LoadedModel, Pace]:
    """Load, test and measure a model; takes a while.

    Raises:
        VerbError: It can't be served.
    """
    begin = time.perf_counter()
    loaded = load_model(settings.folder, settings.digests, task=settings.task, threads=settings.limits.threads)
    pace = measure(loaded.session, loaded.samples)
    fields = {
        "model": settings.name,
        "version": settings.version,
        "seconds": round(time.perf_counter() - begin, 3),
        "run_seconds": round(pace.first, 6),
        "batches": pace.is_batchable,
    }
    logger.info("loaded", extra=fields)
    return loaded, pace
