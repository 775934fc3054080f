"""One outside system per file: the API server, the pods, time, metrics."""
