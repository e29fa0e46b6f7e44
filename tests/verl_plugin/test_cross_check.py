"""One batch through the embedded trainer's mathematics and through verl's, for every regularizer that both have.

verl's side is configured as a run of verl is: our tree, its command line, verl's own YAML and dataclasses.
"""

from typing import cast

import pytest
import torch
from hydra import compose, initialize_config_module
from torch import Tensor
from verl.trainer.ppo import core_algos
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.torch_functional import entropy_from_logits, logprobs_from_logits
from verl.workers.config.actor import ActorConfig

from qae import metrics
from qae.advantage import group_advantages
from qae.config import AdvantageConfig
from qae.diagnostics import entropy_by_sign, token_sums
from qae.embedded.losses import make_policy_loss
from qae.tiny.config import TinyConfig
from qae.tiny.transformer.model import Transformer
from qae.tiny.transformer.sampling import sample
from qae.verl_plugin import clip
from qae.verl_plugin.recording.description import describe
from sweeps.verl.overrides import verl_overrides
from tests.support.configs import tiny_mapping, verl_mapping
from tests.verl_plugin.batches import outputs_of

REGULARIZERS = (
    "clip_higher",
    "clip_symmetric",
    "clip_cov",
    "kl_cov",
    "gspo",
    "bapo",
    "sapo",
    "cispo",
    "geo_mean",
    "dppo_tv",
    "dppo_kl",
    "gpg",
    "dro",
)
PROMPT, TOKENS, GROUPS, SIZE = 5, 12, 8, 8
LOGGED = (metrics.CLIP_FRACTION.name, metrics.CLIP_FRACTION_LOWER.name, metrics.PPO_KL.name)
BY_SIGN = {metrics.CLIP_FRACTION_POSITIVE.name, metrics.CLIP_FRACTION_NEGATIVE.name, metrics.CLIP_DRIFT.name}


def tiny(regularizer: str) -> TinyConfig:
    return TinyConfig.from_mapping(tiny_mapping(groups=(f"regularizer={regularizer}",)))


def verls_actor(regularizer: str) -> ActorConfig:
    overrides = verl_overrides(verl_mapping("model=qwen3-random-tiny", f"regularizer={regularizer}"))
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", overrides=overrides)
    return cast("ActorConfig", omega_conf_to_dataclass(config.actor_rollout_ref.actor))


@pytest.fixture(scope="module")
def recorded() -> dict[str, Tensor]:
    """A rollout batch of the embedded model, and log-probabilities after a change of its weights."""
    torch.manual_seed(0)
    model = Transformer(11, PROMPT + TOKENS, TinyConfig.from_mapping(tiny_mapping("tiny.model.width=32")).tiny.model)
    prompt_P_S = torch.randint(2, 11, (GROUPS, PROMPT))
    generator = torch.Generator().manual_seed(1)
    responses = sample(model, prompt_P_S, SIZE, TOKENS, pad=0, end=1, temperature=1.0, top_p=1.0, generator=generator)
    ids = torch.cat([prompt_P_S.repeat_interleave(SIZE, 0), responses.ids_B_T[:, :-1]], 1)
    with torch.no_grad():
        old_logits = model(ids, keep_from=PROMPT - 1)
        for parameter in model.parameters():
            parameter.add_(0.03 * torch.randn_like(parameter))
        new_logits = model(ids, keep_from=PROMPT - 1)
    taken = responses.mask_B_T.bool()
    new = torch.log_softmax(new_logits, -1).gather(-1, responses.ids_B_T[..., None])[..., 0]
    batch = {
        "ids": responses.ids_B_T,
        "mask": responses.mask_B_T.float(),
        "old": responses.log_prob_B_T,
        "new": new.masked_fill(~taken, 0.0),
        "entropy": responses.entropy_B_T,
        "logits": old_logits,
        "score": torch.randint(0, 2, (GROUPS * SIZE,), generator=generator).float(),
        "group": torch.arange(GROUPS).repeat_interleave(SIZE),
    }
    return {name: value.clone() for name, value in batch.items()}  # sampling's tensors are inference tensors


@pytest.mark.slow
def test_log_probabilities_and_entropies_equal_verls(recorded: dict[str, Tensor]) -> None:
    taken = recorded["mask"].bool()
    theirs = logprobs_from_logits(recorded["logits"], recorded["ids"], inplace_backward=False)
    torch.testing.assert_close(recorded["old"][taken], theirs[taken], atol=2e-5, rtol=0)
    entropy = entropy_from_logits(recorded["logits"])
    torch.testing.assert_close(recorded["entropy"][taken], entropy[taken], atol=2e-5, rtol=0)


@pytest.mark.parametrize("quantile_k", [-1.0, 0.4])
def test_advantages_and_entropies_by_sign_equal_the_plug_ins(quantile_k: float, recorded: dict[str, Tensor]) -> None:
    config = AdvantageConfig(quantile_k=quantile_k)
    ours_B = group_advantages(recorded["score"], recorded["group"], config).advantage_B
    mask_B_T, uid_B = recorded["mask"], recorded["group"].numpy().astype(object)
    rewards_B_T = torch.zeros_like(mask_B_T).scatter(
        1, mask_B_T.sum(1, keepdim=True).long() - 1, recorded["score"][:, None]
    )
    advantage_B_T, _ = core_algos.get_adv_estimator_fn("qae")(
        token_level_rewards=rewards_B_T, response_mask=mask_B_T, index=uid_B, config={"quantile_k": quantile_k}
    )
    assert torch.equal(advantage_B_T, ours_B[:, None] * mask_B_T)
    outputs = outputs_of(rewards_B_T.sum(1), advantage_B_T, recorded["entropy"], mask_B_T)
    values = describe(outputs, uid_B, config)
    expected = entropy_by_sign(ours_B, token_sums(recorded["entropy"], mask_B_T), mask_B_T.sum(1))
    assert {name: values[name] for name in expected} == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("regularizer", REGULARIZERS)
def test_loss_gradient_and_clip_fractions_equal_verls(regularizer: str, recorded: dict[str, Tensor]) -> None:
    config = AdvantageConfig(quantile_k=0.4)
    advantage_B = group_advantages(recorded["score"], recorded["group"], config).advantage_B
    advantage_B_T = advantage_B[:, None].expand(-1, TOKENS)
    settings = tiny(regularizer)
    actor = verls_actor(regularizer)
    results = []
    for loss_of in (
        make_policy_loss(settings.actor, settings.rollout.n),
        lambda *batch: core_algos.get_policy_loss_fn(actor.policy_loss.loss_mode)(
            *batch,
            loss_agg_mode=actor.loss_agg_mode,
            config=actor,
        ),
    ):
        new = recorded["new"].clone().requires_grad_()
        torch.manual_seed(7)  # clip_cov draws from the global generator
        loss, logged = loss_of(recorded["old"], new, advantage_B_T, recorded["mask"])
        loss.backward()
        assert new.grad is not None
        values = {name: float(logged[name]) for name in (*LOGGED, *BY_SIGN) if name in logged}
        results.append((loss.detach(), new.grad, values | clip.by_sign(logged)))
    (ours, our_gradient, our_values), (theirs, their_gradient, their_values) = results
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(our_gradient, their_gradient, rtol=1e-5, atol=1e-8)
    assert our_values == pytest.approx(their_values, rel=1e-5, abs=1e-8)
    by_sign = BY_SIGN if regularizer in {"clip_higher", "clip_symmetric", "clip_cov", "bapo"} else set()
    by_sign = BY_SIGN - {metrics.CLIP_DRIFT.name} if regularizer == "gspo" else by_sign
    assert our_values.keys() & BY_SIGN == by_sign
    assert our_gradient.abs().sum() > 0
