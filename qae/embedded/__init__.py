"""DAPO on a CPU, whatever the policy: configuration, dynamic sampling, losses, the training loop, checkpoints."""
