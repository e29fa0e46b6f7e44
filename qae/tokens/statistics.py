"""What the paper's Figs. 2, 3, 7 and 8 count in a step's rollout batch: high-entropy tokens and marker words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from qae.tokens.marker_words import MARKER_WORDS

# The paper's threshold is not given; the top fifth follows Wang et al. (arXiv 2506.01939).
_HIGH_ENTROPY_SHARE = 0.2
_LISTED = 20
_WORD_START = "\u0120\u2581 "  # how byte-level BPE and SentencePiece write a leading space


@dataclass(frozen=True)
class HighEntropyToken:
    """A token among the positions of highest entropy.

    Attributes:
        token: its text.
        probability: its share of those positions.
        entropy: mean entropy of those positions where it was sampled, nats.
        count: number of those positions.
    """

    token: str
    probability: float
    entropy: float
    count: int


def high_entropy_tokens(ids_N: Tensor, entropy_N: Tensor, text: Callable[[int], str]) -> list[HighEntropyToken]:
    """The most frequent tokens sampled at the 20 % of positions with the highest entropy, most frequent first.

    Args:
        ids_N: sampled tokens of a batch's response positions, int64 (N,).
        entropy_N: entropy at each, nats, float (N,).
        text: a token's text.
    """
    if len(ids_N) == 0:
        return []
    top = entropy_N.topk(max(1, int(_HIGH_ENTROPY_SHARE * len(entropy_N))), sorted=False).indices
    counts = torch.bincount(ids_N[top])
    entropy_sums = torch.bincount(ids_N[top], weights=entropy_N[top].double())
    listed = [int(token) for token in counts.argsort(descending=True, stable=True)[:_LISTED] if counts[token] > 0]
    return [
        HighEntropyToken(
            token=text(token),
            probability=float(counts[token]) / len(top),
            entropy=float(entropy_sums[token] / counts[token]),
            count=int(counts[token]),
        )
        for token in listed
    ]


def count_words(ids_N: Tensor, words: Mapping[int, str]) -> dict[str, int]:
    """How often each word was sampled, by any of the tokens that are it.

    Args:
        ids_N: sampled tokens, whole numbers (N,).
        words: tokens that are a word, as `words_in_vocabulary` returns them.
    """
    counts = torch.bincount(ids_N, minlength=max(words, default=0) + 1)
    found = dict.fromkeys(words.values(), 0)
    for token, word in words.items():
        found[word] += int(counts[token])
    return found


def words_in_vocabulary(vocabulary: Mapping[str, int]) -> dict[int, str]:
    """The tokens that are a whole marker word, with that word in small letters.

    Args:
        vocabulary: a tokenizer's tokens and ids.
    """
    words = ((token.lstrip(_WORD_START).lower(), number) for token, number in vocabulary.items())
    return {number: word for word, number in words if word in MARKER_WORDS}
