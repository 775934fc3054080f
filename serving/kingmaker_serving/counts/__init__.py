"""What a process counts, in the cells of the baseline."""
