"""Sessions of several outputs: an agent loop may answer a prompt in several outputs, which share the last one's reward.

verl's GRPO takes the statistics of a group over the last outputs of its sessions and hands a session's advantage to all
of its outputs (verl/trainer/ppo/v1/utils.py, compute_advantage_for_multi_trajectories). A plain response is a session
of one output.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sessions:
    """Which outputs of a batch belong together; sessions are in order of their first row.

    Attributes:
        first_S: the row of each session's first output, int64 (S,).
        last_S: the row of its last one, int64 (S,).
        session_B: the session of each output, int64 (B,).
    """

    first_S: Tensor
    last_S: Tensor
    session_B: Tensor

    @classmethod
    def of_keys(cls, keys: Sequence[str]) -> "Sessions":
        """Read from a batch's keys in the transfer queue.

        Args:
            keys: ``{uid}_{session}_{output}`` (verl/trainer/ppo/v1/agent_loop_tq.py), in any order (B,).

        Raises:
            ValueError: a key of another form.
        """
        outputs: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        names = []
        for row, key in enumerate(keys):
            name, _, output = key.rpartition("_")
            if "_" not in name or not output.isdigit():
                raise ValueError(f"batch key {key!r} names no session; verl's keys are <uid>_<session>_<output>")
            names.append(name)
            outputs[name].append((int(output), row))
        number = {name: session for session, name in enumerate(outputs)}
        return cls(
            torch.tensor([min(rows)[1] for rows in outputs.values()], dtype=torch.int64),
            torch.tensor([max(rows)[1] for rows in outputs.values()], dtype=torch.int64),
            torch.tensor([number[name] for name in names], dtype=torch.int64),
        )

    @classmethod
    def of_responses(cls, count: int) -> "Sessions":
        """Responses of one output each."""
        row_B = torch.arange(count)
        return cls(row_B, row_B, row_B)

    def totals(self, values_B: Tensor) -> Tensor:
        """The sum over each session's outputs: (B,) -> (S,)."""
        return values_B.new_zeros(len(self.last_S)).index_add(0, self.session_B.to(values_B.device), values_B)
