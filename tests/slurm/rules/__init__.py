"""Rules of jobs that need no Slurm: attempts, pacing, requests, scripts, states, time limits."""
