"""A policy that is a table of logits, and its world: DAPO with all that moves entropy, in seconds on a CPU.

Read it in this order: `config` (every property of the world), `world` (what is asked and how a response is made),
`table` (rows of logits, their gradient, Adam), `policy` (what training asks). Loop, losses, dynamic sampling and
checkpoints are those of `qae.embedded`.
"""
