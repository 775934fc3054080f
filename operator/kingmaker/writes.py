"""What a plan asks for, done: actions in order, status, Events. A refusal is said and keeps nothing else back."""

from __future__ import annotations

import base64
import logging
import secrets
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final, assert_never

from kingmaker.core.plan import Action, Apply, Create, CreateKeys, Delete, Event, HandOver, Scale
from kingmaker.core.serving.ownership import is_being_collected, is_ours, taken_message
from kingmaker.ports import Body, Clock, Cluster, ConflictError, NotFoundError, RefusedError

logger = logging.getLogger(__name__)

_KEY_BYTES: Final = 32
_EXISTS: Final = "AlreadyExists"

REFUSED_RETRY: Final = timedelta(seconds=15)
"""Until an object that admission refused is tried again: a quota may be raised at any time."""


class Writer:
    """Carries out plans through the port `Cluster`."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        """Take the ports."""
        self._cluster = cluster
        self._clock = clock

    async def act(self, actions: Iterable[Action], namespace: str, about: Body | None) -> list[str]:
        """Carry out the actions in order.

        Args:
            actions: Of the plan.
            namespace: Where.
            about: The object whose Event says what was refused; None when there is none.

        Returns:
            What was refused: the other actions were carried out nevertheless.

        Raises:
            ClusterError: The API server can't be asked, or an object changed meanwhile: what is left is not done.
        """
        refusals: list[str] = []
        for action in actions:
            try:
                await self._carry_out(action, namespace)
            except RefusedError as refused:
                refusals.append(str(refused))
                logger.warning("%s: %s", namespace, refused)
                if about is not None:
                    await self.emit(about, Event("Warning", "Refused", str(refused)))
        return refusals

    async def confirm(self, about: Body) -> None:
        """Look at an object before a step that can't be undone: what is known of it may be of a moment ago.

        Raises:
            ConflictError: It is gone, or another one, or people want something else by now.
            ClusterError: The API server can't be asked.
        """
        meta = about["metadata"]
        live = await self._cluster.get_live(about["kind"], meta["namespace"], meta["name"])
        if live is None or _wish(live) != _wish(about):
            raise ConflictError(f"{about['kind']} {meta['name']} has changed meanwhile: it is decided about anew")

    async def _carry_out(self, action: Action, namespace: str) -> None:
        match action:
            case Create(body):
                await self._create(body, namespace)
            case CreateKeys(body):
                await self._create_keys(body)
            case Apply(body, is_new):
                if is_new:
                    await self._check_name(body, namespace)
                await self._cluster.apply(body)
            case Scale(name, uid, replicas):
                await self._cluster.scale(namespace, name, uid, replicas)
            case HandOver(body, uid, replicas):
                await self._hand_over(body, uid, replicas)
            case Delete(api_version, kind, name, uid):
                await self._cluster.delete(api_version, kind, namespace, name, uid)
            case _:
                assert_never(action)

    async def _create(self, body: Body, namespace: str) -> None:
        """Create what must not exist yet: ours by now is a conflict, which passes, somebody else's a refusal."""
        await self._check_name(body, namespace)
        await self._cluster.create(body)

    async def _create_keys(self, body: Body) -> None:
        """Create keys that nobody has seen. Where there are some, they stay: what was made with them must be read."""
        name = self._clock.now().strftime("%Y-%m-%dT%H-%M-%SZ")
        key = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
        try:
            await self._cluster.create_unread({**body, "data": {name: key}})
        except ConflictError as conflict:
            # Who leads no more gets a conflict, too, and has made sure of nothing.
            if conflict.reason != _EXISTS:
                raise

    async def _check_name(self, body: Body, namespace: str) -> None:
        """Leave alone what has the name of a child and isn't one.

        Raises:
            ConflictError: It was an earlier owner's of the same name, and is about to be collected.
            RefusedError: It is somebody else's.
        """
        kind, name = body["kind"], body["metadata"]["name"]
        live = await self._cluster.holder(kind, namespace, name)
        if live is None or is_ours(live, body):
            return
        if is_being_collected(live, body):
            raise ConflictError(f"{kind} {name} of an earlier owner is not gone yet")
        raise RefusedError(taken_message(kind, name))

    async def _hand_over(self, body: Body, uid: str, replicas: int) -> None:
        meta = body["metadata"]
        head = {"apiVersion": body["apiVersion"], "kind": body["kind"]}
        metadata = {"name": meta["name"], "namespace": meta["namespace"], "uid": uid}
        await self._cluster.apply_aside({**head, "metadata": metadata, "spec": {"replicas": replicas}})
        await self._cluster.apply(body)

    async def write_status(self, about: Body, status: Mapping[str, object]) -> None:
        """Write the status of exactly this object; deleted meanwhile is fine, its children go with it."""
        meta = about["metadata"]
        head = {"apiVersion": about["apiVersion"], "kind": about["kind"]}
        metadata = {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]}
        try:
            await self._cluster.apply_status({**head, "metadata": metadata, "status": status})
        except NotFoundError:
            logger.debug("status of a deleted object", extra={"object": meta["name"]})

    async def emit(self, about: Body, event: Event) -> None:
        """Write a Kubernetes Event about an object."""
        await self._cluster.emit(
            about, type_=event.type, reason=event.reason, message=event.message, now=self._clock.now()
        )


def is_final(action: Action) -> bool:
    """Whether an action can't be undone: a Job that ran, a Model that is there for everybody, what was deleted.

    What is applied can be applied otherwise, and goes with its owner: a child that is made for one that is gone already
    is collected.
    """
    match action:
        case Create() | Delete():
            return True
        case CreateKeys() | Apply() | Scale() | HandOver():
            return False
        case _:
            assert_never(action)


def _wish(body: Body) -> tuple[object, ...]:
    """What tells whether an object is the same, and people still want of it what they wanted."""
    meta = body["metadata"]
    return meta["uid"], meta.get("generation"), bool(meta.get("deletionTimestamp"))
