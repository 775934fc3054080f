"""How the operator talks to the API server: as itself, fenced."""

from __future__ import annotations

import re
from typing import Final

from kingmaker.kube.client import REQUEST_SECONDS, KubeClient, Permit, always
from kingmaker.kube.clusterconfig import find_api_server

FENCE: Final = re.compile(r"ValidatingAdmissionPolicy '[^']*-leader' ")
"""The chart's policy that lets only the leader write. Who has just become leader may be faster than the API server's
knowledge of it, by milliseconds; its refusal is no verdict on the object."""


async def connect(
    kubeconfig: str | None, *, permit: Permit = always, timeout_seconds: float = REQUEST_SECONDS
) -> KubeClient:
    """Give a client that is yet to be opened (`async with`).

    Args:
        kubeconfig: Path of the file; None: the ServiceAccount of the pod that this is.
        permit: Ends the process that may write no more.
        timeout_seconds: A request that takes longer has failed.

    Raises:
        KubeconfigError: Nothing says where the API server is.
        OSError: A file can't be read.
    """
    found = await find_api_server(kubeconfig)
    return KubeClient(found, agent="kingmaker-operator", permit=permit, fence=FENCE, timeout_seconds=timeout_seconds)
