"""The process and its ports."""
