"""What a process does with a run directory: attempts, their ends, guard and forks, W&B."""
