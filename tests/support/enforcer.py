"""Enforce NetworkPolicies on a one-node cluster whose own network doesn't: nftables made from the API server's lists.

For clusters of tests with bridged pods, run as root in the node's network. IPv4.
A policy takes effect within a second, a new pod is open until then.
"""

import json
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.cluster import Cluster

Document = Mapping[str, Any]

_TABLE = "inet kingmaker_tests"
_LISTS = ("/api/v1/pods", "/api/v1/namespaces", "/apis/networking.k8s.io/v1/networkpolicies")
_PAUSE_SECONDS = 0.5
_SIDES = {"Ingress": ("from", "saddr"), "Egress": ("to", "daddr")}


def render(pods: Iterable[Document], namespaces: Iterable[Document], policies: Iterable[Document]) -> str:
    """Write the whole ruleset.

    A pod that policies select is shut in their direction but for the union of their rules. Answers always pass, and so
    does what the node itself sends to its pods. Source: Kubernetes, "Network Policies".
    """
    world = _World(pods, namespaces)
    chains: dict[tuple[str, str], list[str]] = {}
    for policy in policies:
        spec = policy["spec"]
        for direction in spec.get("policyTypes", ["Ingress", *(["Egress"] if "egress" in spec else [])]):
            for pod in world.select(spec.get("podSelector", {}), policy["metadata"]["namespace"]):
                lines = chains.setdefault((direction, pod["status"]["podIP"]), [])
                for rule in spec.get(direction.lower()) or ():
                    lines += _rule(world, rule, direction, policy["metadata"]["namespace"], pod)
    return _ruleset(chains)


class _World:
    """Pods with an address of their own, and the labels of namespaces."""

    def __init__(self, pods: Iterable[Document], namespaces: Iterable[Document]) -> None:
        self._pods = [pod for pod in pods if _has_address(pod)]
        self._labels = {item["metadata"]["name"]: item["metadata"].get("labels", {}) for item in namespaces}

    def select(self, selector: Document, namespace: str) -> list[Document]:
        """Give the namespace's pods that a selector means."""
        return [p for p in self._pods if p["metadata"]["namespace"] == namespace and _matches(selector, _labels(p))]

    def peers(self, peer: Document, namespace: str) -> list[str]:
        """Give the addresses of the pods that a peer means, seen from a policy's namespace."""
        chosen = peer.get("namespaceSelector")
        names = [namespace] if chosen is None else [n for n, own in self._labels.items() if _matches(chosen, own)]
        return [pod["status"]["podIP"] for name in names for pod in self.select(peer.get("podSelector", {}), name)]


def _has_address(pod: Document) -> bool:
    status = pod["status"]
    ended = status.get("phase") in {"Succeeded", "Failed"}
    return bool(status.get("podIP")) and not ended and not pod["spec"].get("hostNetwork")


def _labels(item: Document) -> Document:
    labels: Document = item["metadata"].get("labels", {})
    return labels


def _matches(selector: Document, labels: Document) -> bool:
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        _holds(expression, labels) for expression in selector.get("matchExpressions", ())
    )


def _holds(expression: Document, labels: Document) -> bool:
    key, values = expression["key"], expression.get("values", [])
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def _rule(world: _World, rule: Document, direction: str, namespace: str, pod: Document) -> Iterator[str]:
    listed, field = _SIDES[direction]
    peers = [m for peer in rule[listed] for m in _peer(world, peer, field, namespace)] if rule.get(listed) else [""]
    ports = [_port(port, pod, direction) for port in rule["ports"]] if rule.get("ports") else [""]
    for peer in peers:
        for port in ports:
            yield f"{peer} {port} return".strip()


def _peer(world: _World, peer: Document, field: str, namespace: str) -> Iterator[str]:
    block = peer.get("ipBlock")
    if block is None:
        if addresses := sorted(set(world.peers(peer, namespace))):
            yield f"ip {field} {{ {', '.join(addresses)} }}"
    elif ":" not in block["cidr"]:
        within = "meta nfproto ipv4" if block["cidr"].endswith("/0") else f"ip {field} {block['cidr']}"
        yield " ".join([within, *(f"ip {field} != {network}" for network in block.get("except", ()))])


def _port(port: Document, pod: Document, direction: str) -> str:
    protocol, number = port.get("protocol", "TCP").lower(), port.get("port")
    if number is None:
        return f"meta l4proto {protocol}"
    if isinstance(number, str):
        if direction == "Egress":
            raise ValueError(f"egress to the named port {number!r}: only numbers are supported")
        named = (p for container in pod["spec"]["containers"] for p in container.get("ports", ()))
        number = next((p["containerPort"] for p in named if p.get("name") == number), 0)
    return f"{protocol} dport {number}" + (f"-{port['endPort']}" if "endPort" in port else "")


def _ruleset(chains: Mapping[tuple[str, str], list[str]]) -> str:
    names = {key: f"{key[0].lower()}_{key[1].replace('.', '_')}" for key in sorted(chains)}
    bodies = [f"chain {name} {{ {'; '.join([*dict.fromkeys(chains[key]), 'drop'])}; }}" for key, name in names.items()]
    leaving = _dispatch("saddr", {ip: name for (way, ip), name in names.items() if way == "Egress"})
    arriving = _dispatch("daddr", {ip: name for (way, ip), name in names.items() if way == "Ingress"})
    for hook, steps in (("forward", leaving + arriving), ("input", leaving)):
        first = f"type filter hook {hook} priority 10; policy accept; ct state established,related accept; "
        bodies.append(f"chain {hook} {{ {first}{steps} }}")
    return f"table {_TABLE}\ndelete table {_TABLE}\ntable {_TABLE} {{\n" + "\n".join(bodies) + "\n}\n"


def _dispatch(field: str, chains: Mapping[str, str]) -> str:
    jumps = ", ".join(f"{address} : jump {name}" for address, name in chains.items())
    return f"ip {field} vmap {{ {jumps} }}; " if jumps else ""


@contextmanager
def running() -> Iterator[None]:
    """Enforce in a process of its own."""
    with subprocess.Popen([sys.executable, "-m", __name__], cwd=Path(__file__).parents[1]) as process:
        try:
            yield
        finally:
            process.terminate()


def main() -> int:
    """Enforce what the cluster of $KUBECONFIG says until SIGTERM, then let everything through again."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    installed = ""
    with Cluster().proxied() as url:
        while not ended.wait(_PAUSE_SECONDS):
            wanted = render(*(_items(url + path) for path in _LISTS))
            if wanted != installed:
                subprocess.run(["nft", "-f", "-"], input=wanted, text=True, check=True)
                installed = wanted
    subprocess.run(["nft", "delete", "table", *_TABLE.split()], check=True)
    return 0


def _items(url: str) -> list[Document]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        items: list[Document] = json.load(answer)["items"]
        return items


if __name__ == "__main__":
    sys.exit(main())
