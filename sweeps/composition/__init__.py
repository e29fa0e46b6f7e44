"""How a command line becomes configurations: the tree, Hydra's grammar, axes and parts, what the toolkit sets."""
