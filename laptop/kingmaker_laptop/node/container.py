"""One container of one pod: start it, watch its health, end it, and say at any time how it stands."""

import asyncio
import functools
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from kingmaker.kube.errors import ApiError
from kingmaker_laptop.node.backoff import Backoff
from kingmaker_laptop.node.checks import Outcome
from kingmaker_laptop.node.environment import ContainerConfigError
from kingmaker_laptop.node.events import Subject
from kingmaker_laptop.node.expansion import expand
from kingmaker_laptop.node.mountpaths import MountPaths
from kingmaker_laptop.node.podfolder import PodFolder
from kingmaker_laptop.node.podspec import Container, PodSpec
from kingmaker_laptop.node.prepare import TERMINATION_LOG, prepare_command
from kingmaker_laptop.node.probes import ContainerProbes, KillReason
from kingmaker_laptop.node.probespec import Check, Exec, Hook, Sleep
from kingmaker_laptop.node.process import Process, adopt, launch, lost_exit, read_exit
from kingmaker_laptop.node.projection import VolumeError
from kingmaker_laptop.node.states import ContainerView, Exited, Running, Waiting
from kingmaker_laptop.node.stopping import Stopping
from kingmaker_laptop.node.terminations import exit_from_status, with_message
from kingmaker_laptop.node.times import utc_now
from kingmaker_laptop.node.tools import NodeTools
from kingmaker_laptop.node.volumes import PodVolumes

logger = logging.getLogger(__name__)

_RETRY: Final = timedelta(seconds=1)
_HOOK_SECONDS: Final = 3600.0


class ContainerRuntime:
    """A container over all its runs.

    Args:
        container: Its spec.
        folder: The pod's folder.
        tools: The node's.
        on_change: Called when `view` may have changed; must not block.
    """

    def __init__(
        self, container: Container, *, folder: PodFolder, tools: NodeTools, on_change: Callable[[], None]
    ) -> None:
        self.container = container
        self._folder = folder
        self._tools = tools
        self._on_change = on_change
        self._attempt = -1
        self._process: Process | None = None
        self._exit: Exited | None = None
        self._previous: Exited | None = None
        self._waiting = Waiting()
        self._retry_at: datetime | None = None
        self._backoff = Backoff()
        self._probes: ContainerProbes | None = None
        self._health: asyncio.Task[None] | None = None
        self._stopping: Stopping | None = None
        self._launching = asyncio.Lock()
        self._is_halted = False

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.is_running

    def runs_in(self, folder: Path) -> bool:
        """Whether the run of that folder goes on."""
        return self.is_running and self._process is not None and self._process.folder == folder

    @property
    def attempt_folder(self) -> Path | None:
        """Folder of the newest run."""
        return self._folder.attempt(self.container.name, self._attempt) if self._attempt >= 0 else None

    def view(self) -> ContainerView:
        """How it stands now."""
        self._notice_end()
        probes = self._probes
        state: Waiting | Running | Exited = self._waiting
        if self._process is not None and self._process.is_running:
            state = self._process.running or Running(utc_now(), "")
        elif self._exit is not None:
            state = self._exit
        return ContainerView(
            state=state,
            restarts=max(0, self._attempt),
            previous=self._previous,
            is_started=bool(probes and probes.is_started),
            is_ready=bool(probes and probes.is_ready),
            is_stopping=self._stopping is not None,
            retry_at=self._retry_at,
            restart_at=self._backoff.restart_at(self._exit.finished_at) if self._exit else None,
        )

    @property
    def kill_reason(self) -> KillReason | None:
        """Set when a probe demands that it ends."""
        return self._probes.kill_reason if self._probes and self.is_running and self._stopping is None else None

    async def find_again(self, pod: PodSpec, status: Mapping[str, Any] | None, ip: str) -> None:
        """Take over what an earlier node process started.

        Args:
            pod: The pod.
            status: Its container status as the API has it.
            ip: The pod's address.
        """
        attempts = self._folder.attempts(self.container.name)
        if not attempts:
            self._find_in_status(status)
            return
        self._attempt = attempts[-1]
        if len(attempts) > 1:
            self._previous = self._exit_of(attempts[-2])
        found = await adopt(self._folder.attempt(self.container.name, self._attempt))
        if isinstance(found, Exited):
            self._exit = self._with_message(found)
            return
        was_ready = bool(status and status.get("ready"))
        self._follow(found, pod, ip, was_started=bool(status and status.get("started")), was_ready=was_ready)

    async def start(self, pod: PodSpec, volumes: PodVolumes, ip: str) -> None:
        """Run it (again); what keeps it from running becomes its waiting reason and is tried again later."""
        number = self._attempt + 1
        folder = self._folder.attempt(self.container.name, number)
        try:
            command = await prepare_command(
                self.container,
                pod=pod,
                facts=self._tools.facts(ip),
                volumes=volumes,
                folder=self._folder,
                attempt=folder,
                tools=self._tools,
            )
        except (ContainerConfigError, VolumeError) as error:
            self._postpone(pod, Waiting("CreateContainerConfigError", str(error)))
            return
        except ApiError as error:
            logger.warning("container %s of %s waits: %s", self.container.name, pod.name, error)
            self._retry_at = utc_now() + _RETRY
            return
        ended = self._exit
        async with self._launching:
            if self._is_halted:
                return
            folder.mkdir(parents=True)
            (folder / TERMINATION_LOG).touch()
            process = await launch(folder, command)
            self._process, self._attempt, self._exit = process, number, None
        if ended is not None:
            base = self._tools.settings.restart_backoff
            self._backoff, self._previous = self._backoff.after_restart(ended.finished_at, utc_now(), base=base), ended
        self._waiting, self._retry_at = Waiting(), None
        self._folder.prune(self.container.name)
        if process.is_running:
            self._tools.events.normal(self._subject(pod), "Started", f"Started container {self.container.name}")
        self._follow(process, pod, ip)

    def stop(self, pod: PodSpec, grace_seconds: float, *, ip: str, reason: str = "") -> None:
        """Begin to end it, or hurry when that has begun."""
        if self._process is None or not self._process.is_running:
            return
        if self._stopping is not None:
            self._stopping.hurry(grace_seconds)
            return
        message = f"Stopping container {self.container.name}" + (f": {reason}" if reason else "")
        self._tools.events.normal(self._subject(pod), "Killing", message)
        self._cancel_health()
        hook = self.container.pre_stop
        run_hook = functools.partial(self._run_pre_stop, hook, pod, ip) if hook else None
        self._stopping = Stopping(self._process, grace_seconds, run_hook)

    async def halt(self, pod: PodSpec, grace_seconds: float, *, ip: str) -> None:
        """End it for good, also when it is being started just now; returns when it has ended."""
        self._is_halted = True
        async with self._launching:
            self.stop(pod, grace_seconds, ip=ip, reason="the node stops")
        if self._process is not None:
            await asyncio.shield(self._process.exited)

    async def close(self) -> None:
        """Let go of it; its process goes on."""
        tasks = [task for task in (self._health, self._stopping.task if self._stopping else None) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._process is not None:
            self._process.forget()

    def _follow(
        self, process: Process, pod: PodSpec, ip: str, *, was_started: bool = False, was_ready: bool = False
    ) -> None:
        self._process, self._stopping = process, None
        self._probes = ContainerProbes(
            self.container,
            ask=functools.partial(self._ask, process, ip),
            on_change=self._on_change,
            on_failure=functools.partial(self._tools.events.warning, self._subject(pod), "Unhealthy"),
            was_started=was_started,
            was_ready=was_ready,
        )
        has_hook = self.container.post_start is not None and not was_started
        if process.is_running and (has_hook or self._probes.has_work):
            self._health = asyncio.create_task(self._watch_health(pod, ip, has_hook), name=f"health {pod.name}")
        process.exited.add_done_callback(lambda _: self._ended(process))
        self._notice_end()

    def _ended(self, process: Process) -> None:
        if process is self._process:
            self._notice_end()
            self._on_change()

    def _notice_end(self) -> None:
        """Look at the process itself: its callback may come later than somebody who asks for the view."""
        if self._process is not None and not self._process.is_running and self._exit is None:
            self._cancel_health()
            self._probes = None
            self._exit = self._with_message(self._process.exited.result())

    async def _watch_health(self, pod: PodSpec, ip: str, has_hook: bool) -> None:
        assert self._probes is not None
        hook = self.container.post_start
        if has_hook and hook is not None:
            outcome = await self._run_hook(hook, ip)
            if not outcome.is_success:
                self._tools.events.warning(self._subject(pod), "FailedPostStartHook", outcome.message)
                self._probes.kill_reason = KillReason(f"postStart hook failed: {outcome.message}", None)
                self._on_change()
                return
        await self._probes.run()

    def _cancel_health(self) -> None:
        if self._health is not None:
            self._health.cancel()
            self._health = None

    async def _ask(self, process: Process, ip: str, check: Check, timeout_seconds: float) -> Outcome:
        command = process.command
        if isinstance(check, Exec):
            paths = MountPaths(command.paths)
            check = Exec(tuple(paths.replace(expand(text, command.env)) for text in check.command))
        return await self._tools.checks.run(check, command=command, ip=ip, timeout_seconds=timeout_seconds)

    async def _run_pre_stop(self, hook: Hook, pod: PodSpec, ip: str) -> None:
        outcome = await self._run_hook(hook, ip)
        if not outcome.is_success:
            self._tools.events.warning(self._subject(pod), "FailedPreStopHook", outcome.message)

    async def _run_hook(self, hook: Hook, ip: str) -> Outcome:
        if isinstance(hook, Sleep):
            await asyncio.sleep(hook.seconds)
            return Outcome(True)
        assert self._process is not None
        return await self._ask(self._process, ip, hook, _HOOK_SECONDS)

    def _postpone(self, pod: PodSpec, waiting: Waiting) -> None:
        if self._exit is not None:
            self._previous, self._exit = self._exit, None
            self._process = None
        self._waiting, self._retry_at = waiting, utc_now() + _RETRY
        self._tools.events.warning(self._subject(pod), "Failed", f"Error: {waiting.message}")

    def _find_in_status(self, status: Mapping[str, Any] | None) -> None:
        """The folder is gone, but the API knows that it ran: it must not look like a first start."""
        if not status:
            return
        state = status.get("state") or {}
        if "running" in state:
            self._exit = lost_exit(None)
        elif "terminated" in state:
            self._exit = exit_from_status(state["terminated"])
        if self._exit or status.get("restartCount"):
            self._attempt = int(status.get("restartCount", 0))

    def _exit_of(self, attempt: int) -> Exited | None:
        found = read_exit(self._folder.attempt(self.container.name, attempt))
        return (
            with_message(found, self.container, self._folder.attempt(self.container.name, attempt)) if found else None
        )

    def _with_message(self, ended: Exited) -> Exited:
        folder = self.attempt_folder
        return with_message(ended, self.container, folder) if folder else ended

    def _subject(self, pod: PodSpec) -> Subject:
        return Subject("Pod", pod.namespace, pod.name, pod.uid, self.container.name)
