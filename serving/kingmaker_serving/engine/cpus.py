"""How many processors this process may really use."""

import os
from math import ceil
from pathlib import Path
from typing import Final

_MOST: Final = 4
_CGROUP: Final = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1: Final = Path("/sys/fs/cgroup/cpu")


def cpus(cgroup: Path = _CGROUP, cgroup_v1: Path = _CGROUP_V1) -> int:
    """Give the processors of the cgroup's quota, rounded up, of the affinity and of the machine: the least, 4 at most.

    Source: the kernel's documentation of cgroup v2 `cpu.max` ("$MAX $PERIOD", `max` for none) and of v1's
    `cpu.cfs_quota_us` (-1 for none).
    """
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup, cgroup_v1)
    return max(1, min(_MOST, found, ceil(quota) if quota else found))


def _quota(cgroup: Path, cgroup_v1: Path) -> float | None:
    try:
        if cgroup.is_file():
            most, period = cgroup.read_text().split()
            return None if most == "max" else int(most) / int(period)
        most_us = int((cgroup_v1 / "cpu.cfs_quota_us").read_text())
        return most_us / int((cgroup_v1 / "cpu.cfs_period_us").read_text()) if most_us > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
