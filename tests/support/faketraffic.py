"""Requests that nobody sends: pods' counts grow as if clients asked the routers, which split by their own tables."""

import time
import zlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from support.fakecounts import FEATURES, PodCounts
from support.fakerouter import FakeRouter, Split

Seat = tuple[str, str]
"""Namespace and name of a ModelDeployment."""


@dataclass
class FakePod:
    """A serving pod."""

    name: str
    seat: Seat
    model: str
    baseline_digest: str
    counts: PodCounts
    counted_until: float = 0.0
    """Monotonic seconds until which its requests are counted."""


@dataclass
class Expectation:
    """That every router of a namespace gives a model this weight; `met` is the monotonic second at which all did."""

    seat: Seat
    model: str
    weight: int
    met: float | None = None


@dataclass
class Traffic:
    """Who serves, who routes, and how much is asked."""

    pods: dict[str, FakePod] = field(default_factory=dict)
    """By address; see `add`."""
    routers: dict[str, dict[str, FakeRouter]] = field(default_factory=lambda: defaultdict(dict))
    """By namespace, by pod uid."""
    expectations: list[Expectation] = field(default_factory=list)
    looks: int = 0
    """How often a pod was asked for its counts."""
    _seats: dict[Seat, list[FakePod]] = field(default_factory=lambda: defaultdict(list))
    _rates: dict[Seat, float] = field(default_factory=dict)
    _rate: float = 0.0

    def add(self, address: str, pod: FakePod) -> None:
        """Let a pod serve at this address."""
        self.pods[address] = pod
        self._seats[pod.seat].append(pod)

    def remove(self, address: str) -> None:
        """Let the pod with this address serve no more, if there is one."""
        if pod := self.pods.pop(address, None):
            self._seats[pod.seat].remove(pod)

    def set_rate(self, per_second: float, seats: Iterable[Seat] | None = None) -> None:
        """Let clients ask these deployments so many times a second from now on; None: all, also those to come."""
        for pod in self.pods.values():
            self._advance(pod)
        if seats is None:
            self._rates, self._rate = {}, per_second
        else:
            self._rates |= dict.fromkeys(seats, per_second)

    def profile(self, address: str) -> str:
        """Give what the pod with this address has counted by now."""
        pod = self.pods[address]
        self.looks += 1
        self._advance(pod)
        return pod.counts.render()

    def harm(self, seat: Seat, model: str, errors: int) -> float:
        """Let one pod of a model fail so many requests at once; give the monotonic second of it.

        The other models' pods answer their part of the requests meanwhile: a router sends nobody more than is due.

        Raises:
            LookupError: No pod serves the model, or no router sends it requests.
        """
        pod = next((pod for pod in self._seats[seat] if pod.model == model), None)
        split = self._split(seat)
        if pod is None or split is None or not split.weights.get(model):
            raise LookupError(f"no router sends requests of {seat} to {model}: {split}")
        for other, weight in split.weights.items():
            pods = [found for found in self._seats[seat] if found.model == other]
            for found in pods if other != model else ():
                found.counts.answer(split.decision, errors * weight / split.weights[model] / len(pods))
        pod.counts.fail(split.decision, errors)
        return time.monotonic()

    def settle(self, namespace: str) -> None:
        """See which expectations are met, after a router of the namespace accepted a table."""
        for waiting in self.expectations:
            if waiting.met is None and waiting.seat[0] == namespace and self._is_met(waiting):
                waiting.met = time.monotonic()

    def expect(self, seat: Seat, model: str, weight: int) -> int:
        """Begin to wait; give the number of the expectation."""
        self.expectations.append(Expectation(seat, model, weight))
        self.settle(seat[0])
        return len(self.expectations) - 1

    def received_bytes(self, namespace: str) -> list[int]:
        """Give what each router of a namespace was sent so far, in bytes."""
        return [router.received_bytes for router in self.routers[namespace].values()]

    def configuration_bytes(self, namespace: str) -> list[int]:
        """Give the size of what each router of a namespace knows."""
        return [router.configuration_bytes for router in self.routers[namespace].values()]

    def _is_met(self, waiting: Expectation) -> bool:
        routers = self.routers[waiting.seat[0]].values()
        splits = [router.split(waiting.seat[1]) for router in routers]
        return bool(splits) and all(s is not None and s.weights.get(waiting.model, 0) == waiting.weight for s in splits)

    def _advance(self, pod: FakePod) -> None:
        now = time.monotonic()
        seconds, pod.counted_until = now - (pod.counted_until or now), now
        rate = self._rates.get(pod.seat, self._rate)
        split = self._split(pod.seat) if rate and seconds else None
        if split is None or not split.decision:
            return
        sharing = sum(other.model == pod.model for other in self._seats[pod.seat])
        pod.counts.answer(split.decision, seconds * rate * split.weights.get(pod.model, 0) / 100 / sharing)

    def _split(self, seat: Seat) -> Split | None:
        routers = self.routers[seat[0]].values()
        return next((split for router in routers if (split := router.split(seat[1]))), None)


def serving_pod(name: str, namespace: str, given: dict[str, str]) -> FakePod:
    """Make a serving pod from the arguments of its container."""
    model, digest, baseline = given["--model-version"], given["--model-digest"], given.get("--baseline-digest", "")
    info = f'model="{model}",model_digest="{digest}",baseline_digest="{baseline}",pod="{name}"'
    # Without a baseline a server counts no cells.
    counts = PodCounts(info=info, features=FEATURES if baseline else 0, seed=zlib.crc32(name.encode()))
    return FakePod(name, (namespace, given["--model-name"]), model, baseline, counts)


def as_seat(value: Any) -> Seat:
    """Read a deployment's namespace and name from JSON."""
    namespace, name = value
    return str(namespace), str(name)
