"""Where runs go on a cluster: Slurm jobs that find their own way through preemption, time limits and failures."""
