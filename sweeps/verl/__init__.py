"""verl as a trainer: what its configuration means, what it costs, how a run of it is started and followed."""
