"""A loaded model with all that belongs to it: run, counted, bounded."""
