"""The Kubernetes API for operator and laptop: plain dicts over aiohttp, nothing generated, nothing of Kingmaker."""
