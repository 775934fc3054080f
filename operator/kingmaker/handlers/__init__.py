"""The kopf shell: events in, keys out."""
