"""Ray across the nodes of a local cluster."""
