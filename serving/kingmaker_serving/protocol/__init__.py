"""What is on the wire, and the values that it stands for."""
