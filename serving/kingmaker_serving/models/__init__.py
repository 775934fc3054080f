"""ONNX files: read, loaded in ONNX Runtime, tested by their own examples."""
