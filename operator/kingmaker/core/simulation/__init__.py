"""A ModelDeployment's policy over recorded history: the same `decide`, without a cluster."""
