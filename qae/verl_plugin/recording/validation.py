"""Counts per problem from verl's validation, caught where its samples pass through the replay buffer."""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import transfer_queue as tq
from tensordict import NonTensorData, TensorDictBase
from torch import Tensor

from qae.evaluation import ProblemResult
from qae.verl_plugin.recording.description import is_right
from qae.verl_plugin.sessions import Sessions

if TYPE_CHECKING:
    from transfer_queue import KVBatchMeta
    from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

# verl picks the verifier by the source's name and knows math_dapo by this prefix (verl/utils/reward_score).
_ROUTING_PREFIX = "aime_"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """A validation response: its data set and problem, whether it is right, its length in tokens.

    A session of several outputs is one, as right as its last output and as long as all of them.
    """

    data_set: str
    problem: str
    right: bool
    length: int


class ValidationTap:
    """verl's replay buffer; a function sees each validation batch before its samples are dropped."""

    def __init__(self, buffer: "ReplayBuffer", see: "Callable[[KVBatchMeta], None]") -> None:
        self._buffer = buffer
        self._see = see

    def sample(self, **arguments: object) -> "tuple[KVBatchMeta, dict[str, float]]":
        """As the buffer's own."""
        batch, values = self._buffer.sample(**arguments)
        if arguments.get("partition_id") == "val":
            self._see(batch)
        return batch, values

    def __getattr__(self, name: str) -> object:
        return getattr(self._buffer, name)


def samples(batch: "KVBatchMeta") -> list[Sample]:
    """Read a validation batch from the transfer queue; empty where the verifier does not say what is right."""
    fields = ["responses", "data_source", "extra_info", "extra_fields", "prompts"]
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=fields)
    sessions = Sessions.of_keys(batch.keys)
    last = sessions.last_S.tolist()
    lengths = sessions.totals(data["responses"].offsets().diff()).tolist()
    columns = (_rows(plain(data[name]), last) for name in ("data_source", "extra_info", "extra_fields"))
    # What a later output is prompted with has been generated.
    prompts = _rows([prompt.tolist() for prompt in data["prompts"].unbind()], sessions.first_S.tolist())
    found = []
    for length, source, info, extra, prompt in zip(lengths, *columns, prompts, strict=True):
        right = is_right(extra)
        if right is None:
            _log.warning("the verifier of %s reports no 'acc': no counts per problem", source)
            return []
        data_set = str(source).removeprefix(_ROUTING_PREFIX)
        found.append(Sample(data_set, _problem(data_set, info, prompt), right, int(length)))
    return found


def plain(column: "Iterable[object]") -> list[object]:
    """A column of what is no tensor as a list: the queue gives equal shapes as an array, others as a linked list."""
    values = column.tolist() if hasattr(column, "tolist") else column
    return [getattr(value, "data", value) if isinstance(value, NonTensorData) else value for value in values]


def _rows(values: Sequence[object], rows: Sequence[int]) -> list[object]:
    return [values[row] for row in rows]


def problem_results(found: Sequence[Sample]) -> list[ProblemResult]:
    """Samples counted by problem, in order of data set and problem."""
    problems: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in found:
        problems[sample.data_set, sample.problem].append(sample)
    return [
        ProblemResult(
            data_set,
            problem,
            n=len(own),
            c=sum(sample.right for sample in own),
            mean_length=sum(sample.length for sample in own) / len(own),
        )
        for (data_set, problem), own in sorted(problems.items())
    ]


def _problem(data_set: str, info: object, prompt: object) -> str:
    """A name that is the same in every run: the data's own, else its row, else a hash of its tokens."""
    for name, form in (("problem_id", "{}"), ("index", f"{data_set}-{{}}")):
        value = info.get(name) if isinstance(info, dict | TensorDictBase) else None
        if value is not None:
            return form.format(value.item() if isinstance(value, Tensor) else value)
    return hashlib.sha256(str(prompt).encode()).hexdigest()[:12]
