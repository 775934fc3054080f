"""A small client of the Kubernetes API for the laptop's own processes: plain dicts over aiohttp, nothing generated."""
