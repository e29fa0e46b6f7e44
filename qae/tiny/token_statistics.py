"""What the paper's Figs. 2, 3, 7 and 8 count: high-entropy tokens and marker words, for a step's rollout batch."""

from dataclasses import dataclass

import torch

from qae.tiny.sampling import Responses
from qae.tiny.task import Vocabulary

# The paper's threshold is not given; the top fifth follows Wang et al. (arXiv 2506.01939).
_HIGH_ENTROPY_SHARE = 0.2
_LISTED = 20


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


def high_entropy_tokens(responses: Responses, vocabulary: Vocabulary) -> list[HighEntropyToken]:
    """The most frequent tokens sampled at the 20 % of positions with the highest entropy, most frequent first."""
    taken = responses.mask_B_T.bool()
    ids, entropies = responses.ids_B_T[taken], responses.entropy_B_T[taken]
    top = entropies.topk(max(1, int(_HIGH_ENTROPY_SHARE * len(entropies)))).indices
    counts = torch.bincount(ids[top], minlength=len(vocabulary))
    entropy_sums = torch.bincount(ids[top], weights=entropies[top].double(), minlength=len(vocabulary))
    listed = [int(token) for token in counts.argsort(descending=True, stable=True)[:_LISTED] if counts[token] > 0]
    return [
        HighEntropyToken(
            token=vocabulary.tokens[token],
            probability=float(counts[token]) / len(top),
            entropy=float(entropy_sums[token] / counts[token]),
            count=int(counts[token]),
        )
        for token in listed
    ]


def marker_counts(responses: Responses, vocabulary: Vocabulary) -> dict[str, int]:
    """How often each marker word was sampled: ``wait``, which does a step again, and the fillers."""
    counts = torch.bincount(responses.ids_B_T.flatten(), minlength=len(vocabulary)).tolist()
    markers = [vocabulary.wait, *range(vocabulary.first_marker, len(vocabulary))]
    return {vocabulary.tokens[token]: counts[token] for token in markers}
