"""The embedded task: DAPO with mean or quantile baselines on a CPU, small enough to read in one sitting.

Read it in this order: `task` (what is asked, how an answer is verified), `model`, `pretrain` (the imperfect
teacher), `sampling`, `rollout` (groups and dynamic sampling), `losses` and `update` (the policy gradient),
`evaluate`, `train` (the loop). `config` names every knob in verl's vocabulary.
"""
