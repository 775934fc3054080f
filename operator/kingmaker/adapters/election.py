"""Who leads: a state machine over one Lease, on values.

It trusts the rate of its own clock and nobody's time of day. A holder counts its deadline from before it sent a
renewal, everybody else the Lease's duration from after they saw that renewal, so the holder gives up first. That holds
while no clock runs half as fast again as another, whatever time they show and however long anybody pauses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a Lease holds.

    Attributes:
        lease_seconds: A holder that was not seen to renew for so long has lost it; >= 1.
    """

    lease_seconds: int = 15

    @property
    def deadline(self) -> float:
        """Seconds after which a holder that could not renew gives up: two thirds of the lease."""
        return self.lease_seconds * 2 / 3

    @property
    def retry(self) -> float:
        """Seconds between two renewals."""
        return self.lease_seconds * 2 / 15

    @property
    def look(self) -> float:
        """Seconds between two looks of who stands by: reading costs little, and a released lease waits for it."""
        return self.retry / 2


@dataclass(frozen=True, slots=True)
class Lease:
    """What the Lease says.

    Attributes:
        holder: Who leads; empty when nobody does.
        epoch: Counts the changes of leadership; who leads again has another one.
        seconds: What the holder was promised.
        acquired: When it began, as text: for people.
        renewed: When it was renewed last, as text. Only that it differs from before means something.
        version: The object's resourceVersion; empty where there is no object.
    """

    holder: str
    epoch: int
    seconds: int
    acquired: str
    renewed: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What one process knows. Ticks are seconds of its own steady clock, of any origin.

    Attributes:
        identity: Its name, nobody else's at the same time.
        terms: Its own.
        lease: As read or written last; None when none was ever seen.
        changed: Tick after which `lease` was known to say what it says.
        renewed: Tick before its last renewal was sent; None while it does not lead.
    """

    identity: str
    terms: Terms = Terms()
    lease: Lease | None = None
    changed: float = 0.0
    renewed: float | None = None

    def holds(self, tick: float) -> bool:
        """Say whether it leads, certainly, now."""
        return self.renewed is not None and tick < self.renewed + self.terms.deadline

    def saw(self, lease: Lease | None, tick: float) -> Candidate:
        """Take in what was read; `tick` is after the answer came. Who sees that it lost leads no more."""
        known = self.lease
        if lease is None:
            # Somebody deleted it. Its holder may not know yet, so what was promised counts.
            gone = replace(known, version="") if known else None
            return replace(self, lease=gone, renewed=None)
        if known is None or _promise(lease) != _promise(known):
            mine = known is not None and (lease.holder, lease.epoch) == (known.holder, known.epoch)
            return replace(self, lease=lease, changed=tick, renewed=self.renewed if mine else None)
        return replace(self, lease=lease)

    def claim(self, tick: float, *, now: str) -> Lease | None:
        """Give what to write: a renewal, or a new epoch where the lease is free; None where another one has it."""
        lease = self.lease
        if lease is None:
            return Lease(self.identity, 1, self.terms.lease_seconds, now, now)
        if self.renewed is not None:
            return replace(lease, seconds=self.terms.lease_seconds, renewed=now)
        if not self._is_free(lease, tick):
            return None
        return Lease(self.identity, lease.epoch + 1, self.terms.lease_seconds, now, now, lease.version)

    def wrote(self, lease: Lease, *, sent: float, tick: float) -> Candidate:
        """Take in that the claim was accepted; `sent` is before it was sent, `tick` after the answer came."""
        return replace(self, lease=lease, changed=tick, renewed=sent)

    def release(self) -> Lease | None:
        """Give what to write in order to let the next one begin at once; None when it does not lead."""
        if self.lease is None or self.renewed is None:
            return None
        return replace(self.lease, holder="")

    def resigned(self) -> Candidate:
        """Lead no more."""
        return replace(self, renewed=None)

    def wait(self, tick: float) -> float:
        """Give the seconds until another look may be worth it."""
        if self.lease is None:
            return self.terms.look
        return min(self.terms.look, max(self.changed + self.lease.seconds - tick, 0.0) or self.terms.look)

    def _is_free(self, lease: Lease, tick: float) -> bool:
        # One's own name, but not one's own epoch: the process that had it is gone, the pod started another.
        return lease.holder in {"", self.identity} or tick >= self.changed + lease.seconds


def _promise(lease: Lease) -> tuple[str, int, int, str]:
    """What makes a renewal one. Labels that somebody adds to the object don't."""
    return lease.holder, lease.epoch, lease.seconds, lease.renewed
