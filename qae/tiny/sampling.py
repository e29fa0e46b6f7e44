"""Sampling responses: each prompt is read once, then token by token for the whole batch."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from qae.embedded.batch import Responses
from qae.tiny.decoding import Decoder
from qae.tiny.model import Transformer

# Dropping finished rows copies the caches, so it waits until this share of them is finished.
_COMPACT_BELOW = 0.75


@dataclass(frozen=True)
class Continuation:
    """What follows a response that ends with a wrong answer: a token put in, then tokens of the policy's own.

    Attributes:
        wrong: says of some responses that end here whether they are wrong, bool (responses,), from their ids so far,
            int64 (responses, tokens), and their rows in the batch, int64 (responses,).
        token: id of the token that is put in. It is masked, as the policy did not choose it.
        tokens: how many the policy samples behind it, whatever they are.
    """

    wrong: Callable[[Tensor, Tensor], Tensor]
    token: int
    tokens: int


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
    continuation: Continuation | None = None,
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
        continuation: how wrong responses go on; without it every response ends with its end token.

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
    rows = torch.arange(batch)
    endings = _Endings(batch, end, continuation)
    for t in range(tokens):
        policy = torch.log_softmax(logits / temperature, -1)
        entropy = -(policy.exp() * policy).sum(-1)
        sampling = policy if top_p == 1 else _nucleus(policy, top_p)
        cumulative = sampling.exp().cumsum(-1)
        token = endings.chosen((cumulative < uniform_B_T[rows, t, None] * cumulative[:, -1:]).sum(-1))
        own = endings.alive & ~endings.put_in
        written = rows[own]
        ids_B_T[rows[endings.alive], t] = token[endings.alive]
        log_prob_B_T[written, t] = sampling.gather(1, token[:, None])[own, 0]
        entropy_B_T[written, t] = entropy[own]
        mask_B_T[written, t] = 1.0
        endings.follow(token, ids_B_T[:, : t + 1], rows)
        left = int(endings.alive.sum())
        if left == 0 or t == tokens - 1:
            break
        if left < _COMPACT_BELOW * len(rows):
            kept = endings.alive.nonzero()[:, 0]
            rows, token = rows[kept], token[kept]
            endings.keep(kept)
            decoder.keep(kept)
        logits = decoder.next_logits(token, t)
    return Responses(ids_B_T, log_prob_B_T, entropy_B_T, mask_B_T)


class _Endings:
    """Which of the responses still go on (`alive`), and to which of them the next token is put in (`put_in`)."""

    def __init__(self, batch: int, end: int, continuation: Continuation | None) -> None:
        self._end, self._continuation = end, continuation
        self.alive = torch.ones(batch, dtype=torch.bool)
        self.put_in = torch.zeros(batch, dtype=torch.bool)
        self._answered = torch.zeros(batch, dtype=torch.bool)
        self._left = torch.zeros(batch, dtype=torch.int64)

    def chosen(self, token_B: Tensor) -> Tensor:
        """The drawn tokens, but for those that are put in."""
        return token_B if self._continuation is None else torch.where(self.put_in, self._continuation.token, token_B)

    def follow(self, token_B: Tensor, ids_B_T: Tensor, rows: Tensor) -> None:
        """Take the responses' next tokens into account; the ids are those of the whole batch, these tokens included."""
        ended = self.alive & ~self._answered & (token_B == self._end)
        if self._continuation is None:
            self.alive = self.alive & ~ended
            return
        self._left -= (self._answered & ~self.put_in).long()
        wrong = torch.zeros_like(ended)
        wrong[ended] = self._continuation.wrong(ids_B_T[rows[ended]], rows[ended])
        self._left[wrong] = self._continuation.tokens
        self._answered |= ended
        self.put_in = wrong
        self.alive = self.alive & ~(self._answered & (self._left <= 0))

    def keep(self, kept: Tensor) -> None:
        """Go on with some of the responses."""
        self.alive, self.put_in = self.alive[kept], self.put_in[kept]
        self._answered, self._left = self._answered[kept], self._left[kept]


def _nucleus(log_prob: Tensor, top_p: float) -> Tensor:
    """Log-probabilities of the smallest set of tokens whose probability reaches top_p, renormalised."""
    ordered, order = log_prob.sort(-1, descending=True)
    before = ordered.exp().cumsum(-1) - ordered.exp()
    outside = torch.zeros_like(log_prob, dtype=torch.bool).scatter(-1, order, before >= top_p)
    return torch.log_softmax(log_prob.masked_fill(outside, -torch.inf), -1)
