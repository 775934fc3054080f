"""What a laptop needs in place of a cluster: control plane, node and Service proxy."""
