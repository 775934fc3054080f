"""People and programs that ask the API server for something, each with exactly the rights of their roles."""

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from support.controlplane import ControlPlane

Document = dict[str, Any]

REFUSAL = re.compile(r"ValidatingAdmissionPolicy '([^']+)' with binding '[^']+' denied request: (.*)")


@dataclass(frozen=True)
class Refusal:
    """What a policy answered."""

    policy: str
    message: str


@dataclass(frozen=True)
class Person:
    """Somebody whom the API server knows by a name, or by a token."""

    plane: ControlPlane
    namespace: str
    identity: tuple[str, ...] = ()

    @classmethod
    def named(cls, plane: ControlPlane, namespace: str, user: str) -> "Person":
        """Give somebody of this name; an administrator may speak for anybody."""
        return cls(plane, namespace, (f"--as={user}",))

    @property
    def user(self) -> str:
        """Their name, as the API server knows it."""
        return self.identity[0].removeprefix("--as=")

    def may(self, *arguments: str, body: Document | None = None) -> None:
        """Do it; it must succeed."""
        self._kubectl(arguments, body, check=True)

    def may_not(self, *arguments: str, body: Document | None = None) -> Refusal:
        """Try it; a policy must refuse it, and RBAC must not."""
        refusal = self.answer_to(*arguments, body=body)
        assert refusal, f"{arguments} was not refused"
        return refusal

    def answer_to(self, *arguments: str, body: Document | None = None) -> Refusal | None:
        """Try it and give the policy's answer; None when it was done. Any other failure raises."""
        done = self._kubectl(arguments, body, check=False)
        if not done.returncode:
            return None
        found = REFUSAL.search(done.stderr)
        assert found, f"{arguments}: {done.stderr}"
        return Refusal(found[1], found[2].strip())

    def create(self, body: Document) -> None:
        """Create an object, which must succeed."""
        self.may("create", "-f", "-", body=body)

    def cannot_create(self, body: Document) -> Refusal:
        """Try to create an object, which a policy must refuse."""
        return self.may_not("create", "-f", "-", body=body)

    def patch(self, what: str, change: Document, *flags: str) -> None:
        """Patch `kind/name`, which must succeed."""
        self.may("patch", what, "--type=merge", f"--patch={json.dumps(change)}", *flags)

    def cannot_patch(self, what: str, change: Document, *flags: str) -> Refusal:
        """Try to patch `kind/name`, which a policy must refuse."""
        return self.may_not("patch", what, "--type=merge", f"--patch={json.dumps(change)}", *flags)

    def is_allowed(self, *arguments: str) -> bool:
        """Say what `kubectl auth can-i` says, which asks roles alone."""
        return self._kubectl(("auth", "can-i", *arguments), None, check=False).returncode == 0

    def _kubectl(self, arguments: Sequence[str], body: Document | None, *, check: bool) -> Any:
        told = None if body is None else json.dumps(body)
        return self.plane.kubectl(*self.identity, "-n", self.namespace, *arguments, input=told, check=check)


def soon(condition: Callable[[], Any], *, seconds: float = 30) -> Any:
    """Give the condition's first answer that is true; the API server learns of roles and policies a moment late."""
    end = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)
    return answer
