"""Why claims of the paper do not appear in runs of the tabular policy (docs/experiments.md)."""

from collections.abc import Iterable

from analysis.runs.frames import RunRecord

MODELS = frozenset({"tabular", "tabular-larger"})
# By claim.
TABULAR = {
    "with Clip-Higher marker words rise in the first quarter": "they rise with entropy, which is later here",
    "with Clip-Higher marker words fall after the first quarter": "they rise with entropy to the last of the 60 steps",
    "under the mean anthropomorphic tokens gain share from step 20 to 200": (
        "seven of the tail's 56 words are such tokens: too few to tell which part of the tail a seed raises"
    ),
    "under K = .4 marker words rise at first": "they are rare words, and entropy falls from the first step",
    "under K = .4 anthropomorphic tokens gain share from step 20 to 200": "they are rare words, and entropy falls",
    "K = 0.4 ends with higher entropy than 0.2": "both end near .2 nats/token, where little is left to tell them apart",
    "POS-MASK is above NEG-MASK": (
        "POS-MASK teaches by wrong responses, so entropy explodes with the symmetric clip too; and keeping entropy up "
        "earns nothing, since style tokens do not matter for the reward"
    ),
    "K = .4 ends with a higher pass@1 than K = .2": (
        "K = .2 teaches by right responses on more prompts, and the entropy that it loses costs nothing here"
    ),
}


def of(claim: str, records: Iterable[RunRecord]) -> str:
    """Why a claim does not appear; "" where the runs are others, or nothing is known."""
    models = {record.labels.get("model") for record in records}
    return TABULAR.get(claim, "") if models and models <= MODELS else ""
