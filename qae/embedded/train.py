"""The training loop: sample, advantage, update, evaluate, write down."""

import time
from collections.abc import Callable, Mapping

from qae import metrics
from qae.advantage import GroupAdvantages, group_advantages
from qae.config import AdvantageConfig
from qae.diagnostics import (
    advantage_diagnostics,
    advantage_token_mean,
    entropy_by_sign,
    lengths_by_correctness,
    token_sums,
)
from qae.embedded import checkpoint
from qae.embedded.batch import Batch
from qae.embedded.config import EmbeddedConfig
from qae.embedded.policy import Policy
from qae.embedded.update import update_policy
from qae.evaluation import summarise
from qae.run_directory import JsonlWriter, RunDirectory
from qae.updates.balance import with_k_of_batch


def train(
    config: EmbeddedConfig,
    policy: Policy,
    directory: RunDirectory,
    *,
    on_step: Callable[[int, Mapping[str, float]], None],
    should_stop: Callable[[], bool],
) -> int:
    """Train to `trainer.total_training_steps`, continuing from the run directory's newest checkpoint.

    A killed run that is started again writes the same metrics as one that was never interrupted, bit for bit,
    times apart; lines after the checkpoint are written again and supersede the earlier ones.

    Args:
        config: the run.
        policy: at its start; a checkpoint takes it to where the run stands.
        directory: where metrics, evaluations, token statistics and checkpoints go.
        on_step: told each step and its metrics once they are on disk; step 0 is the evaluated start.
        should_stop: asked after each step; when it says yes, a checkpoint is written and the loop ends.

    Returns:
        the last finished step.
    """
    resumed = checkpoint.load_newest(directory.checkpoints, policy)
    step, rule = resumed.step, config.advantage.continued(resumed.adapted_k)
    total, saved = config.trainer.total_training_steps, step
    with (
        JsonlWriter(directory.metrics) as metric_lines,
        JsonlWriter(directory.evaluation) as evaluation_lines,
        JsonlWriter(directory.tokens) as token_lines,
    ):

        def validate() -> dict[str, float]:
            started = time.perf_counter()
            results = policy.evaluate(step)
            evaluation_lines.append(*({"step": step, **vars(result)} for result in results))
            return {**summarise(results), metrics.VALIDATION_TIME.name: time.perf_counter() - started}

        def write_down(values: Mapping[str, float]) -> None:
            values = {metrics.GLOBAL_STEP.name: step, **values}
            metric_lines.append({"step": step, "time": time.time(), **values})
            on_step(step, values)

        def save() -> int:
            checkpoint.save(directory.checkpoints, step, policy, rule.adapted_k)
            return step

        if step == 0 and config.trainer.val_before_train:
            write_down(validate())
        while step < total and not should_stop():
            step += 1
            started = time.perf_counter()
            batch = policy.batch(step)
            sampled = time.perf_counter()
            rule = with_k_of_batch(rule.at_entropy(batch.entropy), batch.score_B, batch.group_B, batch.tokens_B)
            advantages = group_advantages(batch.score_B, batch.group_B, rule, tokens_B=batch.tokens_B)
            values = _describe(batch, advantages, rule, config.data.max_response_length)
            mask_B_T = batch.responses.mask_B_T * advantages.kept_B[:, None]
            values |= update_policy(policy, batch, advantages.advantage_B, mask_B_T, config, step)
            values |= _timing(batch, started, sampled, time.perf_counter())
            token_lines.append(
                {
                    "step": step,
                    "tokens": [vars(token) for token in policy.high_entropy_tokens(batch)],
                    "markers": policy.marker_counts(batch),
                    "responses": len(batch.score_B),
                }
            )
            if _due(config.trainer.test_freq, step, total):
                values |= validate()
            write_down(values)
            if _due(config.trainer.save_freq, step, total):
                saved = save()
        if saved != step:
            save()
    return step


def _due(frequency: int, step: int, total: int) -> bool:
    return frequency > 0 and (step % frequency == 0 or step == total)


def _describe(
    batch: Batch, advantages: GroupAdvantages, rule: AdvantageConfig, max_response_length: int
) -> dict[str, float]:
    """The step's diagnostics, taken on the rollout policy before the update."""
    baseline_B, advantage_B = advantages.baseline_B, advantages.advantage_B
    responses = batch.responses
    length_B = batch.tokens_B
    entropy_sum_B = responses.entropy_B_T.sum(1)
    return {
        **({} if rule.adapted_k is None else {metrics.QUANTILE_K.name: rule.adapted_k}),
        metrics.ENTROPY.name: batch.entropy,
        metrics.ENTROPY_SEQUENCE.name: float((entropy_sum_B / length_B).mean()),
        metrics.SCORE_MEAN.name: float(batch.score_B.mean()),
        metrics.SCORE_GENERATED_MEAN.name: batch.generated_score,
        metrics.GENERATED_KEPT.name: batch.kept_groups / batch.generated_groups,
        metrics.LENGTH_MEAN.name: float(length_B.mean()),
        metrics.LENGTH_CLIP_RATIO.name: float((length_B == max_response_length).float().mean()),
        **advantage_diagnostics(batch.score_B, batch.group_B, baseline_B, advantage_B, rule.quantile_k),
        **entropy_by_sign(
            advantage_B, token_sums(responses.entropy_B_T, responses.mask_B_T), responses.mask_B_T.sum(1)
        ),
        **advantage_token_mean(advantage_B, length_B),
        **lengths_by_correctness(length_B, batch.score_B > 0),
    }


def _timing(batch: Batch, started: float, sampled: float, ended: float) -> dict[str, float]:
    tokens = float(batch.tokens_B.sum())
    return {
        metrics.STEP_TIME.name: ended - started,
        metrics.GENERATION_TIME.name: sampled - started,
        metrics.UPDATE_TIME.name: ended - sampled,
        metrics.THROUGHPUT.name: tokens / (ended - started),
        metrics.GENERATION_THROUGHPUT.name: batch.generated_tokens / (sampled - started),
        metrics.UPDATE_THROUGHPUT.name: tokens / (ended - sampled),
    }
