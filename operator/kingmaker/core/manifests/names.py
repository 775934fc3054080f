"""Deterministic names: the same parents give the same child, in every process and for ever.

Names that fit are the plain words that people type; names that don't are cut and carry a hash of the whole,
so two long names never meet.
"""

import hashlib
from typing import Final

LIMIT: Final = 63
"""Characters in a DNS label, hence in the name of a Service and in the value of a label."""

ROUTER: Final = "kingmaker-router"
"""Name of the one router per namespace."""

JOBS: Final = "kingmaker-jobs"
"""Name of the one NetworkPolicy per namespace for Jobs that verify and train."""

WORKLOAD: Final = "kingmaker-workload"
"""ServiceAccount of everything that the operator starts: no permission, no token."""

_HASH_CHARACTERS: Final = 10  # 40 bits: among 100,000 names in one namespace two meet with odds of 1 to 200


def short_hash(*parts: str) -> str:
    """Give 10 hexadecimal characters that differ when any of the parts differs."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_HASH_CHARACTERS]


def bounded(name: str) -> str:
    """Give a name of at most 63 characters: the name itself where it fits, else its beginning and a hash of the whole.

    >>> bounded("churn-churn-2")
    'churn-churn-2'
    """
    return name if len(name) <= LIMIT else hashed(name, short_hash(name))


def hashed(name: str, suffix: str) -> str:
    """Append a suffix, cutting the name where both together are longer than 63 characters."""
    return f"{name[: LIMIT - len(suffix) - 1].rstrip('-')}-{suffix}"


def variant_name(deployment: str, model: str) -> str:
    """Name the Deployment, Service and policies that serve one model for one ModelDeployment."""
    return bounded(f"{deployment}-{model}")


def shadow_name(deployment: str) -> str:
    """Name the ConfigMap that tells the servers whom to shadow."""
    return bounded(f"{deployment}-shadow")


def keys_name(deployment: str, uid: str) -> str:
    """Name the Secret with the keys of the request ids: one made anew under an old name never meets the old Secret."""
    return hashed(f"{deployment}-ids", short_hash(uid))


def decision_name(deployment: str, sequence: int) -> str:
    """Name a Decision; up to 999,999 they sort in the order in which they were taken."""
    return bounded(f"{deployment}-{sequence:06d}")


def verify_job_name(model: str, uid: str, digest: str) -> str:
    """Name the verify Job of exactly this Model: one made anew under an old name never meets the old Job.

    Args:
        model: Name of the Model.
        uid: Its uid.
        digest: Of its artifact.
    """
    return hashed(f"{model}-verify", short_hash(uid, digest))


def retrain_job_name(deployment: str, run: int) -> str:
    """Name the Job of one run; being the same after a crash, it is what keeps a run from starting twice."""
    return bounded(f"{deployment}-retrain-{run}")


def produced_model_name(deployment: str, run: int) -> str:
    """Name the Model that a retraining run becomes."""
    return bounded(f"{deployment}-r{run}")
