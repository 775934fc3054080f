"""The verbs of the command `kingmaker` that only a laptop has: one module each."""
