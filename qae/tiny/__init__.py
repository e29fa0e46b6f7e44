"""The embedded transformer and its task, small enough to read in one sitting.

Read it in this order: `task` (what is asked, how an answer is verified), `form`, `model`, `pretrain` (the imperfect
teacher), `decoding`, `sampling`, `rollout` (problems and rewards), `evaluate`, `packed`, `policy` (what training asks).
Loop, losses, dynamic sampling and checkpoints are those of `qae.embedded`; `config` names every knob.
"""
