"""What one user asked of the API server, by the API server's own account."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kingmaker_laptop.binary import ensure_binary
from support.controlplane import ControlPlane, running_control_plane

Right = tuple[str, str, str]
"""API group, resource with subresource, verb."""

_VARIABLE = "KINGMAKER_CONTROLPLANE"


@dataclass(frozen=True)
class Audit:
    """The record of a control plane that is running."""

    plane: ControlPlane
    log: Path

    def events(self) -> list[dict[str, Any]]:
        """Give what was answered so far."""
        # The last line may still be on its way.
        whole = self.log.read_text().rpartition("\n")[0] if self.log.exists() else ""
        return [json.loads(line) for line in whole.splitlines()]

    def used(self) -> set[Right]:
        """Give the rights without which something that was done would have been refused."""
        found = set()
        for event in self.events():
            # Discovery is everybody's.
            if about := event.get("objectRef"):
                resource = "/".join(about[part] for part in ("resource", "subresource") if about.get(part))
                group = about.get("apiGroup", "")
                found.add((group, resource, event["verb"]))
                # An applied object that was not there: asked for as `patch`, looked at as `create`, too.
                if event["verb"] == "patch" and event.get("responseStatus", {}).get("code") == 201:
                    found.add((group, resource, "create"))
        return found

    def refused(self) -> set[str]:
        """Give the requests that were refused, as `verb path: why`."""
        return {
            f"{event['verb']} {event['requestURI']}: {event['responseStatus'].get('message', '')}"
            for event in self.events()
            if event.get("responseStatus", {}).get("code") in {401, 403}
        }


@contextmanager
def audited_control_plane(folder: Path, *users: str) -> Iterator[Audit]:
    """Run a control plane whose API server writes down what these users ask."""
    folder.mkdir(parents=True, exist_ok=True)
    log, policy, wrapper = folder / "audit.log", folder / "policy.yaml", folder / "controlplane"
    rules = [{"level": "Metadata", "users": list(users)}, {"level": "None"}]
    head = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"]}
    policy.write_text(yaml.safe_dump({**head, "rules": rules}))
    flags = f'"--audit-policy-file={policy}" "--audit-log-path={log}" "--audit-log-maxsize=10000"'
    wrapper.write_text(f'#!/bin/sh\n[ "$1" = kube-apiserver ] && set -- "$@" {flags}\nexec "{ensure_binary()}" "$@"\n')
    wrapper.chmod(0o755)
    with ExitStack() as stack:
        with _chosen(wrapper):
            plane = stack.enter_context(running_control_plane(folder / "plane"))
        yield Audit(plane, log)


@contextmanager
def _chosen(binary: Path) -> Iterator[None]:
    """Start control planes from `binary` meanwhile; whoever starts one later in this process gets the usual one."""
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = str(binary)
    try:
        yield
    finally:
        os.environ.pop(_VARIABLE)
        if before is not None:
            os.environ[_VARIABLE] = before


def granted(rules: Sequence[Mapping[str, Any]]) -> set[Right]:
    """Expand PolicyRules."""
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def table(rights: set[Right]) -> str:
    """Lay rights out in 80 columns: a resource per line."""
    order = ("get", "list", "watch", "create", "patch", "update", "delete")
    lines = [f"{'API group':<26}{'resource':<26}verbs"]
    for group, resource in sorted({(group, resource) for group, resource, _ in rights}):
        verbs = [verb for verb in order if (group, resource, verb) in rights]
        lines.append(f"{group or '(core)':<26}{resource:<26}{' '.join(verbs)}")
    return "\n".join(lines)
