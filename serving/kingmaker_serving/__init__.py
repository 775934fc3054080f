"""Kingmaker serving: ONNX Runtime behind the Open Inference Protocol, counting what it sees."""
