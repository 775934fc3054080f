"""What one pass has to know, read into one value: of a ModelDeployment, of a Model, of a namespace."""
