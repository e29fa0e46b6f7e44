"""A discrete-event model of sweeps on a cluster of thousands of GPUs; docs/scale.md has what it says.

Real, and called here: what a new attempt and an ended one write (`sweeps.worker.state`), which ended runs go on and
which jobs queue themselves again (`slurm.attempts`), when a job is warned of its time limit (`slurm.time_limit`), what
a launch does with a run (`sweeps.launching.plan.action_of`), how runs become arrays and share a throttle
(`slurm.submit.chunks`, `room`), when the launcher looks at runs and asks squeue (`slurm.queue.pacing`).

Modelled: the clock, nodes and their failures, other users, Slurm's choice of the next job, the time that steps and
checkpoints take, files.
"""
