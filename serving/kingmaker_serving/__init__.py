"""Kingmaker serving: ONNX Runtime behind the Open Inference Protocol, counting what it sees."""

__version__ = "0.1.0"
"""Of the distribution; an image holds the package without its metadata."""
