"""Copies of requests for challengers."""
