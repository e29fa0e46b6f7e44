"""Names of everything that is logged, each with its definition, unit and source.

verl's names where verl has one; ours begin with ``qae/``. The step axis everywhere is ``training/global_step``.
A metric that is undefined at a step (the entropy of a class with no token) is absent from that step's line.
Names avoid the substrings max, min, sum and total, by which verl picks a reduction.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A logged quantity.

    Attributes:
        name: key in metrics.jsonl and on W&B.
        label: axis label for people.
        unit: unit of the value; "1" for a pure number, "fraction" for one in [0, 1].
        definition: what it is, exactly.
        source: where the definition comes from.
    """

    name: str
    label: str
    unit: str
    definition: str
    source: str


# Of a run's last steps the mean of so many is its final value.
FINAL_STEPS = 5
_ALL: list[Metric] = []


def _metric(name: str, label: str, unit: str, definition: str, source: str) -> Metric:
    metric = Metric(name, label, unit, definition, source)
    _ALL.append(metric)
    return metric


_VERL = "verl"
_OURS = "this toolkit"

GLOBAL_STEP = _metric(
    "training/global_step", "Global step", "rollout batches", "Rollout batches trained on so far", _VERL
)
ENTROPY = _metric(
    "actor/entropy",
    "Policy entropy",
    "nats/token",
    "Full-vocabulary softmax entropy of the rollout policy at the rollout temperature, before the update: mean "
    "over all response tokens of the batch that is trained on",
    "verl ray_trainer.py (token-mean)",
)
ENTROPY_SEQUENCE = _metric(
    "qae/entropy_sequence_mean",
    "Policy entropy (length-normalised)",
    "nats/token",
    "Mean over responses of each response's mean token entropy",
    "paper sec. 4.3, 'token-averaged (length-normalised) policy entropy'",
)
ENTROPY_LOSS_MEAN = _metric(
    "qae/entropy_loss_aggregated",
    "Policy entropy (averaged as the loss)",
    "nats/token",
    "verl's own actor/entropy where actor.loss_agg_mode is not token-mean, summed in the model's precision (bfloat16 "
    "rounds it by up to .2 %); actor/entropy is always the token mean, in float32",
    "verl trainer_base.py _compute_old_log_prob",
)
POLICY_LOSS = _metric("actor/pg_loss", "Policy loss", "1", "Policy loss, mean over the step's updates", _VERL)
CLIP_FRACTION = _metric(
    "actor/pg_clipfrac",
    "Clipped tokens",
    "fraction",
    "Response tokens where the clipped surrogate is the larger loss, mean over the step's updates",
    "verl core_algos.py compute_policy_loss_vanilla",
)
CLIP_FRACTION_LOWER = _metric(
    "actor/pg_clipfrac_lower",
    "Dual-clipped tokens",
    "fraction",
    "Response tokens where the dual clip binds (negative advantage), mean over the step's updates",
    "verl core_algos.py compute_policy_loss_vanilla",
)
CLIP_FRACTION_POSITIVE = _metric(
    "qae/clip_fraction_positive",
    "Clipped tokens, positive advantage",
    "fraction",
    "actor/pg_clipfrac over the tokens of responses with positive advantage alone, mean over those of the step's "
    "updates that have such a token; logged by the losses that clip a ratio: vanilla, bapo, gspo and clip_cov, there "
    "without the tokens that are drawn by covariance",
    "arXiv 2509.26114 (clip-high lowers entropy)",
)
CLIP_FRACTION_NEGATIVE = _metric(
    "qae/clip_fraction_negative",
    "Clipped tokens, negative advantage",
    "fraction",
    "As qae/clip_fraction_positive, over the tokens of responses with negative advantage",
    "arXiv 2509.26114 (clip-low raises entropy)",
)
CLIP_DRIFT = _metric(
    "qae/clip_drift",
    "Entropy drift by the clip",
    "advantage/token",
    "Minus the mean over the loss's tokens of the advantage where the clip binds, mean over the step's updates: what "
    "negative advantages lose to the clip less what positive ones lose. The larger, the more entropy is expected to "
    "rise; logged where the clips by sign are, but under gspo, whose clip binds whole responses",
    "docs/why_entropy_explodes.md; arXiv 2509.26114 has both of its terms",
)
PPO_KL = _metric(
    "actor/ppo_kl",
    "KL(old, new), k1 estimate",
    "nats/token",
    "Token mean of log pi_old - log pi_new, mean over the step's updates",
    "verl core_algos.py",
)
GRAD_NORM = _metric(
    "actor/grad_norm", "Gradient norm", "1", "Norm before clipping, mean over the step's updates", _VERL
)
LEARNING_RATE = _metric("actor/lr", "Learning rate", "1", "Learning rate of the step", _VERL)
LENGTH_MEAN = _metric(
    "response_length/mean", "Response length", "tokens", "Mean response length of the batch, end token included", _VERL
)
LENGTH_CLIP_RATIO = _metric(
    "response_length/clip_ratio",
    "Responses cut at the length limit",
    "fraction",
    "Responses as long as data.max_response_length",
    _VERL,
)
LENGTH_RIGHT = _metric(
    "qae/response_length_right",
    "Response length, right",
    "tokens",
    "Mean response tokens of the right responses of the batch that is trained on: right by the verifier's acc in verl, "
    "by a reward above 0 (noise included) on the embedded task",
    _OURS,
)
LENGTH_WRONG = _metric(
    "qae/response_length_wrong",
    "Response length, wrong",
    "tokens",
    "As qae/response_length_right, of the wrong responses",
    _OURS,
)
SCORE_MEAN = _metric(
    "critic/score/mean",
    "Training score",
    "score",
    "Mean score of the batch that is trained on: the accuracy on the embedded task, +1 and -1 with shaping under DAPO",
    _VERL,
)
SCORE_GENERATED_MEAN = _metric(
    "qae/generated_score_mean",
    "Training accuracy (all generated)",
    "fraction",
    "Mean score of all generated responses, before dynamic sampling",
    _OURS,
)
GENERATED_KEPT = _metric(
    "qae/generated_group_fraction_kept",
    "Groups kept by dynamic sampling",
    "fraction",
    "Generated groups with neither all nor no response correct",
    "DAPO, dynamic sampling",
)
THROUGHPUT = _metric("perf/throughput", "Throughput", "tokens/s", "Response tokens trained on over step time", _VERL)
GENERATION_THROUGHPUT = _metric(
    "perf/generation_throughput", "Sampling throughput", "tokens/s", "Response tokens sampled over sampling time", _OURS
)
UPDATE_THROUGHPUT = _metric(
    "perf/update_throughput", "Update throughput", "tokens/s", "Response tokens trained on over update time", _OURS
)
STEP_TIME = _metric("timing_s/step", "Step time", "s", "Wall time of the step", _VERL)
GENERATION_TIME = _metric("timing_s/gen", "Sampling time", "s", "Wall time of sampling in the step", _VERL)
UPDATE_TIME = _metric("timing_s/update_actor", "Update time", "s", "Wall time of the step's updates", _VERL)
VALIDATION_TIME = _metric("timing_s/testing", "Evaluation time", "s", "Wall time of the step's evaluation", _VERL)

ZERO_FRACTION = _metric(
    "qae/advantage_zero_fraction",
    "Zero-advantage responses",
    "fraction",
    "Responses of the batch after dynamic sampling with |advantage| < 1e-6",
    "paper sec. 5, Fig. 5c",
)
POSITIVE_FRACTION = _metric(
    "qae/advantage_positive_fraction", "Positive-advantage responses", "fraction", "Responses, advantage >= 1e-6", _OURS
)
NEGATIVE_FRACTION = _metric(
    "qae/advantage_negative_fraction",
    "Negative-advantage responses",
    "fraction",
    "Responses, advantage <= -1e-6",
    _OURS,
)
ADVANTAGE_TOKEN_MEAN = _metric(
    "qae/advantage_token_mean",
    "Advantage, mean over tokens",
    "1",
    "Mean advantage over all response tokens of the batch that is trained on, each response's counted once a token; "
    "below 0 under the mean where wrong responses are longer, 0 under advantage=token_mean",
    _OURS,
)
QUANTILE_K = _metric(
    "qae/quantile_k", "K", "1", "K of the step; logged where algorithm.quantile_controller adapts it", _OURS
)
BASELINE_MEAN = _metric("qae/baseline_mean", "Baseline", "score", "Mean baseline over responses", "paper eq. 3")
HARD_GROUP_FRACTION = _metric(
    "qae/hard_group_fraction",
    "Hard groups",
    "fraction",
    "Groups whose K-quantile is their lowest score (two-valued scores: p <= 1 - K); K=0.5 under the mean",
    "paper eq. 4",
)
EASY_GROUP_FRACTION = _metric(
    "qae/easy_group_fraction",
    "Easy groups",
    "fraction",
    "Groups whose K-quantile is their highest score and not their lowest (p > 1 - K)",
    "paper eq. 4",
)
MULTI_VALUED_GROUP_FRACTION = _metric(
    "qae/multi_valued_group_fraction",
    "Groups with more than two scores",
    "fraction",
    "Groups with more than two distinct scores",
    "shaped rewards, paper sec. 5 (DAPO overlong shaping)",
)
ENTROPY_POSITIVE = _metric(
    "qae/entropy_positive",
    "Entropy, positive advantage",
    "nats/token",
    "Token-mean entropy over responses with positive advantage",
    "paper Fig. 4a, 5b",
)
ENTROPY_NEGATIVE = _metric(
    "qae/entropy_negative",
    "Entropy, negative advantage",
    "nats/token",
    "Token-mean entropy over responses with negative advantage",
    "paper Fig. 4a, 5b",
)
ENTROPY_ZERO = _metric(
    "qae/entropy_zero",
    "Entropy, zero advantage",
    "nats/token",
    "Token-mean entropy over responses with zero advantage",
    _OURS,
)
TOKEN_SHARE_POSITIVE = _metric(
    "qae/token_share_positive", "Tokens, positive advantage", "fraction", "Share of response tokens", _OURS
)
TOKEN_SHARE_NEGATIVE = _metric(
    "qae/token_share_negative", "Tokens, negative advantage", "fraction", "Share of response tokens", _OURS
)
TOKEN_SHARE_ZERO = _metric(
    "qae/token_share_zero", "Tokens, zero advantage", "fraction", "Share of response tokens", _OURS
)
CENTRED_ONE = _metric(
    "qae/centred_reward_one_fraction",
    "R - b = 1",
    "fraction",
    "Responses whose score minus baseline is what a right response has above a wrong one (within 1e-6)",
    "paper Fig. 5c, legend",
)
CENTRED_ZERO = _metric("qae/centred_reward_zero_fraction", "R - b = 0", "fraction", "As above, but 0", "paper Fig. 5c")
CENTRED_MINUS_ONE = _metric(
    "qae/centred_reward_minus_one_fraction", "R - b = -1", "fraction", "As above, but minus that", "paper Fig. 5c"
)
CENTRED_OTHER = _metric(
    "qae/centred_reward_other_fraction", "R - b, other values", "fraction", "as above, none of them", "paper Fig. 5c"
)

# Entropy above so many times its start has exploded; the paper has no number. Which steps are start and end says who
# asks (`analysis.statistics.Rule`, `analysis.guard.replay`). The guard's rules have thresholds of their own, chosen to
# find such runs early.
EXPLODED = 1.3
VAL_OVERALL = "overall"
# What the names of all validation metrics begin with.
VALIDATION = "val/"


def pass_at(k: int, data_set: str = VAL_OVERALL) -> Metric:
    """The unbiased pass@k on a validation data set, or pooled over all problems (`VAL_OVERALL`)."""
    return Metric(
        f"{VALIDATION}{data_set}/pass@{k}",
        f"pass@{k}",
        "fraction",
        f"Mean over problems of 1 - C(n-c, {k})/C(n, {k})",
        "Chen et al. 2021 (arXiv 2107.03374) eq. 1",
    )


def validation_length(data_set: str = VAL_OVERALL) -> Metric:
    """Mean response length on a validation data set, or over all problems."""
    return Metric(
        f"{VALIDATION}{data_set}/response_length/mean", "Response length", "tokens", "Mean over samples", _OURS
    )


METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}


def mean_over_updates(logged: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """A step's value of each metric: its mean over those of the step's updates that have it."""
    found: dict[str, list[float]] = {}
    for values in logged:
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in found.items()}
