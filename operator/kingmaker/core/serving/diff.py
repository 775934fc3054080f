"""Whether a live object already is what it should be, so that an idle operator writes nothing."""

from __future__ import annotations

from typing import Any


def contains(live: Any, wanted: Any) -> bool:  # noqa: ANN401  # any JSON value
    """Tell whether `live` has everything that `wanted` asks for; what others added to maps does not matter.

    Lists must have the same length and order, apart from owner references, which others may add to.

    >>> contains({"replicas": 2, "paused": False}, {"replicas": 2})
    True
    >>> contains([{"name": "a"}], [{"name": "a"}, {"name": "b"}])
    False
    """
    if live == wanted:
        # Most of it is, and nothing compares as fast.
        return True
    if isinstance(wanted, dict):
        if not isinstance(live, dict):
            return not wanted and live is None
        return all(_field_contains(key, live.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list | tuple):
        if not wanted and live is None:
            return True
        return (
            isinstance(live, list | tuple)
            and len(live) == len(wanted)
            and all(contains(a, b) for a, b in zip(live, wanted, strict=True))
        )
    return False


def _field_contains(key: str, live: Any, wanted: Any) -> bool:  # noqa: ANN401  # any JSON value
    if key == "ownerReferences":
        # Others may add owners of theirs.
        by_uid = {owner["uid"]: owner for owner in live or ()}
        return all(contains(by_uid.get(one["uid"]), one) for one in wanted)
    return contains(live, wanted)
