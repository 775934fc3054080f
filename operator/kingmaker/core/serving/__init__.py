"""Pods, children and routes: what shall exist and what is observed of it."""
