"""Statistics on counts: sequential tests of two arms, and comparisons of cell counts with a reference."""
