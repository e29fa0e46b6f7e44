"""What runs write of their tokens: the most frequent ones at positions of high entropy, and counts of marker words."""

import pandas as pd

from analysis.runs.frames import RunRecord
from qae.files.json_lines import read_jsonl
from qae.run_directory import RunDirectory
from qae.tokens.marker_words import MARKER_WORDS


def high_entropy_tokens(record: RunRecord) -> pd.DataFrame:
    """Share of the positions of high entropy that each listed token has: index step, one column per token.

    A token that is not among the listed ones of a step is NaN there; empty where the run has written none.
    """
    rows = {
        step: {str(token["token"]): float(token["probability"]) for token in tokens}
        for step, tokens in _by_step(record, "tokens")
        if isinstance(tokens, list)
    }
    return pd.DataFrame.from_dict(rows, orient="index").sort_index().rename_axis("step")


def marker_words(record: RunRecord) -> "pd.Series[float]":
    """Marker words in 100 responses: index step; empty where the run has counted none."""
    responses = dict(_by_step(record, "responses"))
    rows = {
        step: 100.0 * sum(int(counts.get(word, 0)) for word in MARKER_WORDS) / int(str(responses[step]))
        for step, counts in _by_step(record, "markers")
        if isinstance(counts, dict) and responses.get(step)
    }
    return pd.Series(rows, dtype=float, name=record.id).sort_index().rename_axis("step")


def _by_step(record: RunRecord, key: str) -> list[tuple[int, object]]:
    """A key of the run's token lines; of lines for the same step the last one counts."""
    if record.directory is None:
        return []
    lines = read_jsonl(RunDirectory(record.directory).tokens).records
    found = {step: line[key] for line in lines if isinstance(step := line.get("step"), int) and key in line}
    return list(found.items())
