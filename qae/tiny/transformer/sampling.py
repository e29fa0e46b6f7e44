"""Sampling responses: one prefill a prompt, then token by token for the whole batch from the key-value cache."""

from collections.abc import Callable

import torch
from torch import Tensor

from qae.embedded.batch import Responses
from qae.tiny.transformer.decoding import Decoder
from qae.tiny.transformer.form import Form
from qae.tiny.transformer.model import Transformer

# Dropping finished rows copies the caches, so it waits until this share of them is finished.
_COMPACT_BELOW = 0.75

# A draw of 0 would take the first token of the vocabulary, possible or not.
_ABOVE_0 = 2.0**-25


@torch.inference_mode()
def sample(
    model: Transformer,
    prompt_P_S: Tensor,
    n: int,
    tokens: int,
    *,
    pad: int,
    end: int,
    temperature: float,
    top_p: float,
    generator: torch.Generator,
    form: Form | None = None,
    verdict: Callable[[Tensor], Tensor] | None = None,
) -> Responses:
    """Sample n responses a prompt.

    Args:
        model: the policy.
        prompt_P_S: prompt ids, int64 (prompts, prompt length), left-padded.
        n: responses a prompt.
        tokens: longest response, in tokens; longer ones are cut.
        pad: id of the padding token.
        end: id of the end token.
        temperature: of the sampling distribution, above 0.
        top_p: nucleus; 1.0 samples from the whole distribution.
        generator: source of the draws.
        form: what is possible at each position; without it every token is.
        verdict: the verifier's word for each response, int64 (responses,), from their ids; a form needs it. The
            mask is 0 there.

    Returns:
        prompts * n responses.
    """
    batch = len(prompt_P_S) * n
    decoder = Decoder(model, prompt_P_S, n, tokens - 1)
    logits = decoder.first_logits_P_V.repeat_interleave(n, 0)
    ids_B_T = torch.full((batch, tokens), pad)
    log_prob_B_T, entropy_B_T, mask_B_T = torch.zeros(3, batch, tokens).unbind()
    # Drawn up front, so that what a row draws does not depend on when others finish.
    uniform_B_T = torch.rand(batch, tokens, generator=generator)
    if form is not None:
        uniform_B_T.clamp_(min=_ABOVE_0)
    rows = torch.arange(batch)
    alive = torch.ones(batch, dtype=torch.bool)
    for t in range(tokens):
        if form is not None:
            logits = logits + form.bias_T_V[t]
        policy = torch.log_softmax(logits / temperature, -1)
        entropy = -(policy.exp() * policy).sum(-1)
        sampling = policy if top_p == 1 else _nucleus(policy, top_p)
        cumulative = sampling.exp().cumsum(-1)
        token = (cumulative < uniform_B_T[rows, t, None] * cumulative[:, -1:]).sum(-1)
        written = rows[alive]
        if form is not None and verdict is not None and t == form.verdict_at:
            token = verdict(ids_B_T)[rows]
        else:
            log_prob_B_T[written, t] = sampling.gather(1, token[:, None])[alive, 0]
            entropy_B_T[written, t] = entropy[alive]
            mask_B_T[written, t] = 1.0
        ids_B_T[written, t] = token[alive]
        alive &= token != end
        left = int(alive.sum())
        if left == 0 or t == tokens - 1:
            break
        if left < _COMPACT_BELOW * len(rows):
            kept = alive.nonzero()[:, 0]
            rows, token, alive = rows[kept], token[kept], alive[kept]
            decoder.keep(kept)
        logits = decoder.next_logits(token, t)
    return Responses(ids_B_T, log_prob_B_T, entropy_B_T, mask_B_T)


def _nucleus(log_prob: Tensor, top_p: float) -> Tensor:
    """Log-probabilities of the smallest set of tokens whose probability reaches top_p, renormalised."""
    ordered, order = log_prob.sort(-1, descending=True)
    before = ordered.exp().cumsum(-1) - ordered.exp()
    outside = torch.zeros_like(log_prob, dtype=torch.bool).scatter(-1, order, before >= top_p)
    return torch.log_softmax(log_prob.masked_fill(outside, -torch.inf), -1)
