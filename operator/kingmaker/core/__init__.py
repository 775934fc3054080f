"""The decision core: pure functions from what was observed to what shall happen."""
