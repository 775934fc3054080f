"""When the Secret with the keys of a deployment's request ids is created: the operator may do that, and never look.

So it can't know whether the Secret is there. What it knows is that pods which have all their volumes are ready, and
pods which lack one begin nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from kingmaker.core.manifests.serving import keys_secret
from kingmaker.core.observed import Observed
from kingmaker.core.plan import Action, Apply, CreateKeys, HandOver

_SUSPICIOUS: Final = timedelta(seconds=10)
"""A pod that began nothing for so long may lack a volume: somebody may have deleted the Secret."""
_AGAIN: Final = timedelta(seconds=60)
"""Between two tries: mostly it is an image that takes its time."""


def create_keys(observed: Observed, writes: Iterable[Action]) -> tuple[CreateKeys, ...]:
    """Create the keys where pods may be waiting for them, or will.

    Args:
        observed: The snapshot.
        writes: What else is written in this pass; the keys come before it.
    """
    create = (CreateKeys(keys_secret(observed.mdep)),)
    variants = observed.variants.values()
    if observed.keys_made is None:
        deploys = any(isinstance(w, Apply | HandOver) and w.body["kind"] == "Deployment" for w in writes)
        return create if deploys or any(v.ready < v.desired for v in variants) else ()
    since = min((v.unbegun_since for v in variants if v.unbegun_since), default=None)
    stuck = since is not None and observed.now >= since + _SUSPICIOUS
    return create if stuck and observed.now >= observed.keys_made + _AGAIN else ()
