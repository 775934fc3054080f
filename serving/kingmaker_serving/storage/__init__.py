"""Where a Model's files are read from: folders and claims, HTTP, and the stores that fsspec knows."""
