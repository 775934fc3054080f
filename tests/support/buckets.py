"""The router's hash, computed apart from it."""

from kingmaker.core.counts.buckets import BUCKETS


def bucket_of(salt: str, entity: str) -> int:
    """FNV-1a of 32 bits, with MurmurHash3's last steps."""
    h = 0x811C9DC5
    for byte in f"{salt} {entity}".encode():
        h = (h ^ byte) * 0x01000193 % 2**32
    h = (h ^ h >> 16) * 0x85EBCA6B % 2**32
    h = (h ^ h >> 13) * 0xC2B2AE35 % 2**32
    return (h ^ h >> 16) % BUCKETS
