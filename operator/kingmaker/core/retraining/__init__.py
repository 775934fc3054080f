"""When a new model is trained, and what becomes of the run."""
