"""The embedded transformer and its task, small enough to read in one sitting.

Read it in this order: `task` (what is asked, how an answer is verified), `transformer.form`, `transformer.model`,
`pretrain` (the imperfect teacher), `transformer.decoding`, `transformer.sampling`, `rollout` (problems and rewards),
`evaluate`, `transformer.packed`, `policy` (what training asks).
Loop, losses, dynamic sampling and checkpoints are those of `qae.embedded`; `config` names every knob.
"""
