"""On a compute node: what a job asks of Slurm about itself, and Ray over the nodes of the job."""
