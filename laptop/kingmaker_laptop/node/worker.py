"""Take care of one pod from its arrival to its end: look, decide (`machine`), act, write the status, wait."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from kingmaker.kube.errors import ApiError
from kingmaker_laptop.node.admission import find_problem, is_replaced_when_failed
from kingmaker_laptop.node.container import ContainerRuntime
from kingmaker_laptop.node.events import Subject
from kingmaker_laptop.node.machine import Actions, deadline_of, next_actions
from kingmaker_laptop.node.podfolder import PodFolder, PodState
from kingmaker_laptop.node.podspec import PodSpec
from kingmaker_laptop.node.projection import VolumeError
from kingmaker_laptop.node.states import DELETED, Ending, PodView, Waiting
from kingmaker_laptop.node.status import build_status
from kingmaker_laptop.node.statuswriter import StatusWriter
from kingmaker_laptop.node.times import utc_now
from kingmaker_laptop.node.tools import NodeTools
from kingmaker_laptop.node.volumes import PodVolumes, remove_tree

logger = logging.getLogger(__name__)

_RETRY: Final = timedelta(seconds=1)
_GONE_GRACE_SECONDS: Final = 1


class PodWorker:
    """One pod.

    Args:
        pod: As the API has it.
        folder: Its folder.
        state: What the node remembers of it.
        tools: The node's.
        on_done: Called when nothing of the pod is left, neither here nor in the API.
    """

    def __init__(
        self, pod: PodSpec, *, folder: PodFolder, state: PodState, tools: NodeTools, on_done: Callable[[], None]
    ) -> None:
        self.pod = pod
        self.folder = folder
        self.state = state
        self._tools = tools
        self._on_done = on_done
        self._wake = asyncio.Event()
        self._writer = StatusWriter(tools.client, pod)
        self._volumes = PodVolumes(tools.client, tools.watches, folder.volumes, on_change=self._remount)
        self.containers = {
            one.name: ContainerRuntime(one, folder=folder, tools=tools, on_change=self._wake.set)
            for one in pod.containers
        }
        self._problem = find_problem(pod)
        self._blocked: Waiting | None = None
        self._mount_at: datetime | None = state.started_at
        self._is_mounted = False
        self._is_protected = False
        self._announced: set[tuple[str, int]] = set()
        self._is_gone = False
        self._is_halted = False
        self._is_done = False

    def update(self, pod: PodSpec) -> None:
        """The API has a new version of the pod."""
        if pod.labels != self.pod.labels or pod.annotations != self.pod.annotations:
            self._remount()
        self.pod = pod
        self._writer.learn(pod)
        self._wake.set()

    def remove(self) -> None:
        """The API doesn't have the pod any more: force-deleted, or deleted while nobody watched."""
        self._is_gone = True
        self._wake.set()

    async def run(self) -> None:
        """Look after the pod until nothing of it is left."""
        writing = asyncio.create_task(self._writer.run(), name=f"status {self.pod.name}")
        try:
            await self._find_again()
            while not await self._step():
                pass
        finally:
            writing.cancel()
            await asyncio.gather(writing, *(one.close() for one in self.containers.values()), return_exceptions=True)
            self._tools.watches.release(self.pod.uid)
        self._on_done()

    async def halt(self, grace_seconds: float) -> None:
        """End the pod's processes because the node stops; the pod itself stays and goes on with the next node."""
        self._is_halted = True
        grace = min(grace_seconds, self.pod.grace_seconds)
        await asyncio.gather(*(one.halt(self.pod, grace, ip=self.state.ip) for one in self.containers.values()))
        self._show_status(self._view(), utc_now())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._writer.flushed(), 1)

    async def _find_again(self) -> None:
        status = self.pod.document.get("status") or {}
        found = (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or [])
        known = {one["name"]: one for one in found}
        for name, container in self.containers.items():
            await container.find_again(self.pod, known.get(name), self.state.ip)

    async def _step(self) -> bool:
        """Look, act, write, wait; whether the pod is over and gone."""
        self._wake.clear()
        wake_at: datetime | None = utc_now() + _RETRY
        try:
            if not self._is_halted:
                wake_at = await self._act()
        except Exception:
            # The edge of one pod's world: whatever is wrong with it must not end the care for it.
            logger.exception("pod %s/%s: will try again", self.pod.namespace, self.pod.name)
        if self._is_done:
            return True
        delay = None if wake_at is None else max(0.0, (wake_at - utc_now()).total_seconds())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), delay)
        return False

    async def _act(self) -> datetime | None:
        """Do what is due; when to look again."""
        self._decide_ending(utc_now())
        if self.state.ending is None and not self._is_over():
            await self._mount()
        actions = next_actions(self._view(), utc_now())
        await self._start(actions)
        self._stop(actions)
        self._end_doomed()
        now = utc_now()
        view = self._view()
        self._show_status(view, now)
        if self._is_leaving and next_actions(view, now).is_over:
            await self._leave()
            return None
        if actions.start:
            return now
        times = [actions.wake_at, self._mount_at if self.state.ending is None and not actions.is_over else None]
        return min((time for time in times if time), default=None)

    @property
    def _is_leaving(self) -> bool:
        return self._is_gone or self.pod.is_deleted

    def _is_over(self) -> bool:
        return next_actions(self._view(), utc_now()).is_over

    def _view(self) -> PodView:
        ending = self.state.ending or (DELETED if self._is_leaving else None)
        return PodView(
            spec=self.pod,
            started_at=self.state.started_at,
            ip=self.state.ip,
            containers={name: one.view() for name, one in self.containers.items()},
            ending=ending,
            blocked=self._blocked,
        )

    def _decide_ending(self, now: datetime) -> None:
        view = self._view()
        if view.ending is not None:
            return
        if self._problem is not None:
            self._refuse()
            return
        deadline = deadline_of(view)
        if deadline is not None and deadline <= now and not next_actions(view, now).is_over:
            message = "Pod was active on the node longer than the specified deadline"
            self._end(Ending("DeadlineExceeded", message, is_failure=True))

    def _refuse(self) -> None:
        assert self._problem is not None
        reason, message = self._problem.reason, self._problem.message
        if self._blocked is None:
            self._tools.events.warning(self._subject(), reason, message)
        self._blocked = Waiting(reason, message)
        if not is_replaced_when_failed(self.pod):
            self._end(Ending(reason, message, is_failure=True))

    def _end(self, ending: Ending) -> None:
        self.state = replace(self.state, ending=ending)
        self.folder.write_state(self.state)
        if ending.reason == "DeadlineExceeded":
            self._tools.events.normal(self._subject(), ending.reason, ending.message)

    async def _mount(self) -> None:
        """Bring the volumes up to date when that is due; what is missing blocks the pod until it is there."""
        if self._problem is not None or self._mount_at is None or self._mount_at > utc_now():
            return
        self._mount_at = None
        try:
            await self._volumes.mount(self.pod, self._tools.facts(self.state.ip))
        except (VolumeError, OSError, ApiError) as error:
            self._tools.events.warning(self._subject(), "FailedMount", str(error))
            self._schedule_mount(utc_now() + _RETRY)
            if not self._is_mounted:
                self._blocked = Waiting("ContainerCreating", str(error))
            return
        self._is_mounted, self._blocked = True, None
        self._schedule_mount(self._volumes.refresh_at)

    def _schedule_mount(self, when: datetime | None) -> None:
        if self._mount_at is None:  # Else a change came in while the volumes were being mounted.
            self._mount_at = when

    def _remount(self) -> None:
        self._mount_at = utc_now()
        self._wake.set()

    async def _start(self, actions: Actions) -> None:
        names = [one.name for one in self.pod.main]
        if not self._is_protected and any(name in names for name in actions.start):
            self._volumes.protect_read_only(self.pod)
            self._is_protected = True
        starts = (self.containers[name].start(self.pod, self._volumes, self.state.ip) for name in actions.start)
        await asyncio.gather(*starts)

    def _stop(self, actions: Actions) -> None:
        for name in actions.stop:
            self.containers[name].stop(self.pod, self._grace_seconds, ip=self.state.ip)
        if self._is_leaving:
            # A second deletion with a shorter grace period hurries the first one.
            for container in self.containers.values():
                container.stop(self.pod, self._grace_seconds, ip=self.state.ip)

    def _end_doomed(self) -> None:
        for container in self.containers.values():
            if container.kill_reason is not None:
                grace = self.pod.grace_seconds if container.kill_reason.grace is None else container.kill_reason.grace
                container.stop(self.pod, grace, ip=self.state.ip, reason=container.kill_reason.message)

    @property
    def _grace_seconds(self) -> float:
        if self.pod.is_deleted:
            return self.pod.deletion_grace_seconds
        return _GONE_GRACE_SECONDS if self._is_gone else self.pod.grace_seconds

    def _show_status(self, view: PodView, now: datetime) -> None:
        if self._is_gone:
            return
        status = build_status(view, last=self._writer.known, now=now)
        self._writer.show(status)
        for shown in status.get("initContainerStatuses", []) + status["containerStatuses"]:
            waiting, run = shown["state"].get("waiting") or {}, (shown["name"], shown["restartCount"])
            if waiting.get("reason") == "CrashLoopBackOff" and run not in self._announced:
                self._announced.add(run)
                self._tools.events.warning(self._subject(), "BackOff", waiting["message"])

    async def _leave(self) -> None:
        """Clean up, then let the API forget the pod: in this order, so that who sees it gone finds nothing left."""
        await self._volumes.remove(self.pod.uid)
        if not self._is_gone:
            await self._writer.flushed()
            await self._delete()
        await asyncio.to_thread(remove_tree, self.folder.path)
        self._is_done = True

    async def _delete(self) -> None:
        path = f"/api/v1/namespaces/{self.pod.namespace}/pods/{self.pod.name}"
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.pod.uid}}
        while True:
            try:
                await self._tools.client.delete(path, options)
                return
            except ApiError as error:
                if error.status in {404, 409}:
                    return
                logger.warning("pod %s/%s can't be deleted yet: %s", self.pod.namespace, self.pod.name, error)
                await asyncio.sleep(_RETRY.total_seconds())

    def _subject(self) -> Subject:
        return Subject("Pod", self.pod.namespace, self.pod.name, self.pod.uid)
