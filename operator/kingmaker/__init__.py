"""Kingmaker: the operator that serves, challenges, watches and retrains models on Kubernetes."""
