"""What the paper (arXiv 2509.22611v2) publishes as numbers; its curves are pictures without data.

Scores are shares, the paper's percents over 100. Where its text gives an order only, figures say so in words.
"""

from dataclasses import dataclass

CLIP_HIGHER = 0.28
ZERO_SHARE = 0.80  # sec. 5 and Fig. 5c: about 80 % of responses, at K = 0.4
DEFAULT_K = 0.4
# Figs. 3 and 8 show steps 20, 80 and 200 of plots that run to step 300.
TOKEN_STEPS = (20, 80, 200)
PLOTTED_STEPS = 300


@dataclass(frozen=True)
class Score:
    """A published pass@k.

    Attributes:
        regularizer: name of the option here: clip_higher, clip_cov, kl_cov, gspo.
        quantile: with QAE (K = 0.4) or with the mean.
        data_set: AIME25, AIME24 or AMC23.
        pass_1: share.
        pass_16: share; None where it is not published.
    """

    regularizer: str
    quantile: bool
    data_set: str
    pass_1: float
    pass_16: float | None = None


# Table 1: AIME24 pass@1 of Qwen3-8B-Base under the mean, by the upper clip.
TABLE_1 = {0.20: 0.3229, 0.22: 0.3490, 0.24: 0.3417, 0.26: 0.4063, 0.28: 0.3969}

# Fig. 6a: labels of the bars of Qwen3-14B-Base; by its caption QAE is the higher of each pair.
FIGURE_6A = (
    Score("clip_higher", quantile=False, data_set="AIME25", pass_1=0.4521),
    Score("clip_higher", quantile=True, data_set="AIME25", pass_1=0.4688),
    Score("clip_higher", quantile=False, data_set="AIME24", pass_1=0.5656),
    Score("clip_higher", quantile=True, data_set="AIME24", pass_1=0.5896),
)


def _row(regularizer: str, *, quantile: bool, percents: tuple[float, ...]) -> tuple[Score, ...]:
    """A row of Table 2: pass@1 and pass@16 of AIME25, AIME24 and AMC23, in percent."""
    pairs = zip(percents[::2], percents[1::2], strict=True)
    return tuple(
        Score(regularizer, quantile, data_set, one / 100, sixteen / 100)
        for data_set, (one, sixteen) in zip(("AIME25", "AIME24", "AMC23"), pairs, strict=True)
    )


# Table 2: Qwen3-8B-Base, and Qwen3-30B-A3B-Base for GSPO.
TABLE_2 = (
    *_row("clip_higher", quantile=False, percents=(32.71, 56.66, 39.69, 71.23, 92.11, 97.50)),
    *_row("clip_higher", quantile=True, percents=(34.90, 57.92, 48.23, 71.63, 92.97, 97.50)),
    *_row("clip_cov", quantile=False, percents=(33.02, 52.27, 42.40, 68.58, 87.42, 96.25)),
    *_row("clip_cov", quantile=True, percents=(37.40, 56.29, 46.04, 73.16, 90.23, 96.25)),
    *_row("kl_cov", quantile=False, percents=(33.33, 45.86, 44.90, 73.00, 86.02, 95.00)),
    *_row("kl_cov", quantile=True, percents=(33.44, 51.62, 44.69, 77.08, 87.97, 96.25)),
    *_row("gspo", quantile=False, percents=(31.15, 46.59, 43.75, 67.91, 90.00, 99.39)),
    *_row("gspo", quantile=True, percents=(32.50, 48.01, 47.50, 71.72, 89.38, 97.21)),
)
