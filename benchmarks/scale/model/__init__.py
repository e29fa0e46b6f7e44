"""The cluster that is simulated: nodes, Slurm's queue, launcher, runs and their outcome."""
