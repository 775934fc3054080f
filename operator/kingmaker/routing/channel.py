"""One resource type on one stream: what was asked for, sent, accepted and refused. State-of-the-world xDS, no I/O."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from kingmaker.routing.snapshot import Resources, Snapshot


@dataclass(frozen=True, slots=True)
class Sent:
    """One response, and what it was made from."""

    nonce: str
    resources: Resources
    snapshot: Snapshot


@dataclass(slots=True)
class Channel:
    """What both sides know about one resource type.

    Attributes:
        names: What the router subscribed to; empty means everything, None that it has not asked yet.
        held: The version that the router said it had when it asked first; empty when it had none.
        due: A response must be sent even if the content did not change.
        latest: The newest response.
        accepted: The newest response that the router accepted on this stream.
        pending: Responses that it has not answered, oldest first.
        error: Why it refused the newest response that it answered; None when it accepted that.
    """

    names: frozenset[str] | None = None
    held: str = ""
    due: bool = False
    latest: Sent | None = None
    accepted: Sent | None = None
    pending: deque[Sent] = field(default_factory=deque)
    error: str | None = None

    def receive(self, *, version: str, nonce: str, names: frozenset[str], error: str | None) -> bool:
        """Take a request; True when it settles what the router has."""
        if self.names is None:
            self.held = version
        if self.names != names:
            # A first request, or other resources: an answer is due. Else it is only an ACK or a NACK.
            self.names = names
            self.due = True
        return self._settle(version, nonce, error)

    def _settle(self, version: str, nonce: str, error: str | None) -> bool:
        """Take an ACK or a NACK. A router that had no time to answer each response answers the newest alone."""
        if not any(s.nonce == nonce for s in self.pending):
            return False
        settled = [self.pending.popleft()]
        while settled[-1].nonce != nonce:
            settled.append(self.pending.popleft())
        # What a router has is the version that it names, whatever it refused before or after.
        held = [s for s in settled if s.resources.version == version]
        if held or error is None:
            self.accepted = held[-1] if held else settled[-1]
        self.error = error
        return True

    def send(self, sent: Sent) -> None:
        """Take down what is sent now."""
        self.latest = sent
        self.pending.append(sent)
        self.due = False

    def wants(self, resources: Resources) -> bool:
        """Whether these resources must be sent. What was sent last is not sent again, refused or not."""
        if self.names is None:
            return False
        return self.due or self.latest is None or self.latest.resources.version != resources.version

    def has(self, resources: Resources) -> bool:
        """Whether the router accepted exactly these resources and nothing was sent since."""
        return not self.pending and self.accepted is not None and self.accepted.resources.version == resources.version

    def possible(self) -> tuple[Sent, ...]:
        """What the router may have now: the last that it accepted, or any later one that it has not answered."""
        return (*((self.accepted,) if self.accepted else ()), *self.pending)
