"""One file per store that fsspec has a library for: how it is told credentials and limits, and how it refuses."""
