"""Whether the champion's data drifted, and whether it is broken."""
