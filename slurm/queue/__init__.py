"""Slurm asked: its commands, the states of a job, and what is in the queue."""
