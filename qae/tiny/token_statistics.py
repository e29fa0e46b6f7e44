"""`qae.tokens.statistics` on the embedded task's responses."""

import torch

from qae.embedded.batch import Responses
from qae.tiny.task import Vocabulary
from qae.tokens import statistics as token_statistics
from qae.tokens.statistics import HighEntropyToken


def high_entropy_tokens(responses: Responses, vocabulary: Vocabulary) -> list[HighEntropyToken]:
    """The most frequent tokens sampled at the 20 % of positions with the highest entropy, most frequent first."""
    taken = responses.mask_B_T.bool()
    return token_statistics.high_entropy_tokens(
        responses.ids_B_T[taken], responses.entropy_B_T[taken], lambda token: vocabulary.tokens[token]
    )


def marker_counts(responses: Responses, vocabulary: Vocabulary) -> dict[str, int]:
    """How often each marker word was sampled: ``wait``, which does a step again, and the fillers."""
    counts = torch.bincount(responses.ids_B_T.flatten(), minlength=len(vocabulary)).tolist()
    markers = [vocabulary.wait, *vocabulary.markers]
    return {vocabulary.tokens[token]: counts[token] for token in markers}
