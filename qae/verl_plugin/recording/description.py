"""What a training batch of verl looks like, in the metrics of `qae.metrics`; pure functions over tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from qae import metrics
from qae.advantage import group_advantages, group_index
from qae.config import AdvantageConfig, QuantileOn
from qae.diagnostics import advantage_diagnostics, advantage_token_mean, entropy_by_sign, lengths_by_correctness
from qae.updates.balance import with_k_of_batch
from qae.verl_plugin.recording.outputs import Outputs, policy_entropy
from qae.verl_plugin.sessions import Sessions


def describe(
    outputs: Outputs,
    uid_B: npt.NDArray[np.object_],
    config: AdvantageConfig,
    unshaped_B: Tensor | None = None,
    right_B: Tensor | None = None,
    sessions: Sessions | None = None,
) -> dict[str, float]:
    """A batch's advantages, groups, entropies and lengths.

    Responses are counted by session, which has the score of its last output and the tokens of all; entropies are of
    outputs, as verl's.

    Args:
        outputs: of the batch, without padding rows.
        uid_B: each output's prompt, object (B,).
        config: the rule that made the advantages; it gives the baselines.
        unshaped_B: scores before shaping, float (B,); None where they are not known. Their span is the unit of centred
            rewards, and under ``quantile_on=accuracy`` the quantile is taken of them.
        right_B: which outputs are right, bool (B,); None where the verifier does not say.
        sessions: which outputs belong together; None: each is a response of its own.
    """
    scores_B, advantage_B, tokens_B = outputs.score_B, outputs.advantage_B, outputs.tokens_B
    sessions = sessions or Sessions.of_responses(len(scores_B))
    last_S = sessions.last_S
    score_S, group_S, token_S = scores_B[last_S], group_index(uid_B[last_S.numpy()]), sessions.totals(tokens_B)
    span = _span(score_S if unshaped_B is None else unshaped_B[last_S])
    unshaped_S = None if unshaped_B is None or config.quantile_on is not QuantileOn.ACCURACY else unshaped_B[last_S]
    config = with_k_of_batch(config, score_S, group_S, token_S, unshaped_S)
    baseline_S = group_advantages(score_S, group_S, config, unshaped_S, token_S).baseline_B
    spoken_B = tokens_B > 0
    values = {
        **({} if config.adapted_k is None else {metrics.QUANTILE_K.name: config.adapted_k}),
        **advantage_diagnostics(score_S, group_S, baseline_S, advantage_B[last_S], config.quantile_k, span),
        **entropy_by_sign(advantage_B, outputs.entropy_B, tokens_B),
        **advantage_token_mean(advantage_B, tokens_B),
        **({} if right_B is None else lengths_by_correctness(token_S, right_B[last_S])),
    }
    if bool(spoken_B.any()):
        values[metrics.ENTROPY.name] = policy_entropy(outputs.entropy_B, tokens_B)
        values[metrics.ENTROPY_SEQUENCE.name] = float((outputs.entropy_B / tokens_B)[spoken_B].mean())
    return values


@dataclass(frozen=True)
class Update:
    """A batch that the actor was updated on; a step has several where `separate_async` cuts it into parts.

    Attributes:
        values: as `describe` returns them.
        responses: of the batch, a session of several outputs counted once.
        ids_N: its response tokens, int64 (N,).
        entropy_N: their entropies, nats, float (N,).
    """

    values: Mapping[str, float]
    responses: int
    ids_N: Tensor
    entropy_N: Tensor


def mean_of(updates: Sequence[Update]) -> dict[str, float]:
    """A step's values: each is the mean over the updates that have it, weighted by their responses, as verl's are.

    The value of a single update is itself, bit for bit (verl/trainer/ppo/v1/utils.py, MetricsAggregator, which takes
    the least where a name contains "min").
    """
    found = {}
    for name in dict.fromkeys(name for update in updates for name in update.values):
        own = [update for update in updates if name in update.values]
        total = sum(update.responses for update in own)
        found[name] = sum(update.values[name] * (update.responses / total) for update in own)
    return found


def _span(scores_B: Tensor) -> float:
    """Highest minus lowest score; 1 where all are equal."""
    return float(scores_B.max() - scores_B.min()) or 1.0


def generated_kept(trained: int, logged: Mapping[str, float]) -> float:
    """Share of generated groups that have right and wrong responses.

    Args:
        trained: groups of the batch.
        logged: verl's metrics of the step. Evicted groups are all right or all wrong; a surplus group is mixed and was
            not needed (verl/trainer/ppo/v1/replay_buffer.py).
    """
    evicted, surplus = (
        sum(value for name, value in logged.items() if name.endswith(f"filter_groups/{kind}_samples"))
        for kind in ("evicted", "discarded_surplus")
    )
    return (trained + surplus) / (trained + surplus + evicted)


def unshaped(extra_fields: list[object]) -> Tensor | None:
    """Scores before overlong shaping, float (B,), as verl's reward managers report them; None where one is missing.

    verl's `dapo` manager leaves the verifier's own score in ``reward_extra_info`` and adds the shaping after
    (verl/experimental/reward_loop/reward_manager/dapo.py).
    """
    found = [_number(extra, "score", "acc") for extra in extra_fields]
    return None if any(value is None for value in found) else torch.tensor(found, dtype=torch.float32)


def rightness(extra_fields: list[object]) -> Tensor | None:
    """Which responses are right by the verifier, bool (B,); None where it does not say of one."""
    found = [is_right(extra) for extra in extra_fields]
    return None if any(right is None for right in found) else torch.tensor(found, dtype=torch.bool)


def is_right(extra: object) -> bool | None:
    """Whether a response was right, by the verifier's ``acc``; None where it did not say."""
    accuracy = _number(extra, "acc")
    return None if accuracy is None else accuracy > 0


def _number(extra: object, *names: str) -> float | None:
    info = extra.get("reward_extra_info") if isinstance(extra, dict) else None
    for name in names:
        if isinstance(info, dict) and isinstance(info.get(name), bool | int | float | np.number | np.bool_):
            return float(info[name])
    return None
