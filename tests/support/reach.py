"""Who reaches whom, as docs/security.md promises it: data that a unit test holds against the page and a cluster test
against packets.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

SOURCES = {
    "server": "server",
    "verify": "verify",
    "train": "train",
    "router": "router",
    "tenant": "own pod",
    "other": "other's pod",
}
"""Where a connection begins, and the heading of its column. `tenant` is a pod of the same namespace that Kingmaker did
not make, `other` one of another namespace; no policy speaks of either."""


@dataclass(frozen=True)
class Row:
    """A place to connect to, by TCP.

    Attributes:
        target: Its key in a scene.
        text: What it is, for people.
        open_to: Sources that may connect.
        why: The reason, for people.
    """

    target: str
    text: str
    open_to: frozenset[str]
    why: str


def _row(target: str, text: str, open_to: str, why: str) -> Row:
    return Row(target, text, frozenset(open_to.split()), why)


_OUTSIDERS = "tenant other"
_DOWNLOADERS = "server verify train"

ROWS = (
    _row("api-service", "API server: Service", _OUTSIDERS, "blocked egress; no pod of ours has a token anyway"),
    _row("api-address", "API server: address", _OUTSIDERS, "blocked egress"),
    _row("kubelet", "its kubelet", _OUTSIDERS, "blocked egress; other nodes' only where you block them"),
    _row("link-local", "169.254.0.0/16", _OUTSIDERS, "blocked egress: cloud metadata, pod identity"),
    _row("outside", "outside the cluster", f"{_DOWNLOADERS} {_OUTSIDERS}", "models are downloaded from anywhere"),
    _row("dns", "cluster DNS", " ".join(SOURCES), "names of stores and Services"),
    _row("store", "store in the cluster", f"{_DOWNLOADERS} {_OUTSIDERS}", "models are downloaded from there"),
    _row("tenant-pod", "own pod", f"{_DOWNLOADERS} {_OUTSIDERS}", "like a store; its own policy may refuse"),
    _row("other-pod", "other's pod", f"{_DOWNLOADERS} {_OUTSIDERS}", "like a store; its own policy may refuse"),
    _row("fellow-8080", "fellow server :8080", "server router", "requests; shadow batches among fellows"),
    _row("fellow-8081", "fellow server :8081", "router", "gRPC comes by the router"),
    _row("fellow-8082", "fellow server :8082", "server", "feedback that the other must count; the operator reads"),
    _row("stranger-8080", "stranger server :8080", "router", "the namespace's one router serves both"),
    _row("stranger-8081", "stranger server :8081", "router", "the namespace's one router serves both"),
    _row("stranger-8082", "stranger server :8082", "", "the operator and monitoring alone"),
    _row("foreign-8080", "foreign server :8080", "", "another namespace has a router of its own"),
    _row("foreign-8081", "foreign server :8081", "", "another namespace has a router of its own"),
    _row("foreign-8082", "foreign server :8082", "", "the operator and monitoring alone"),
    _row("router-8080", "router :8080", f"{_DOWNLOADERS} {_OUTSIDERS}", "clients are anywhere"),
    _row("router-8082", "router :8082", "", "the operator and monitoring alone"),
    _row("operator-xds", "operator :18000", "router", "routers fetch their configuration"),
    _row("operator-8082", "operator :8082", "", "monitoring alone"),
)

_YES, _NO = "yes", "-"
_NOT_HERE = "n/a"


def table(cells: Mapping[str, Mapping[str, str]]) -> str:
    """Draw a table in 80 columns: a line per row, a column per source."""
    widths = {source: max(len(heading), 3) for source, heading in SOURCES.items()}
    lines = ["reaches".ljust(21) + "".join(f"  {text:<{widths[source]}}" for source, text in SOURCES.items())]
    lines += [
        row.text.ljust(21) + "".join(f"  {cells[row.target][source]:<{width}}" for source, width in widths.items())
        for row in ROWS
    ]
    return "\n".join(line.rstrip() for line in lines)


def promised(without: Collection[str] = ()) -> dict[str, dict[str, str]]:
    """Give every cell as the page promises it, but for the targets that a cluster is without."""
    cells = {row.target: {s: _YES if s in row.open_to else _NO for s in SOURCES} for row in ROWS}
    return cells | {target: dict.fromkeys(SOURCES, _NOT_HERE) for target in without}


def found(reached: Mapping[str, Mapping[str, bool]]) -> dict[str, dict[str, str]]:
    """Give every cell as packets showed it: by source, then target, whether a connection came about."""
    words = {True: _YES, False: _NO, None: _NOT_HERE}
    return {row.target: {s: words[reached[s].get(row.target)] for s in SOURCES} for row in ROWS}
