"""Kubernetes objects as plain dicts for server-side apply: all that `kingmaker` wants of them, no status, no nulls."""
