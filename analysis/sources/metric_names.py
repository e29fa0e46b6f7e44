"""Metrics of runs that were not started by us, under our names where they are the same quantity.

verl's names are ours already but for validation. Its ``mean@n`` of ``acc`` is the mean over problems of c / n, which
is the unbiased pass@1. Its ``best@k`` is no pass@k: it draws k of n samples with replacement (metric_utils.py
``bootstrap_metric``), which falls short of the unbiased estimate, so it keeps its name; pass@16 comes from counts a
problem (`analysis.sources.verl.files`).
"""

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.sources.tidy import categorical, concatenated, names_of
from qae import metrics
from qae.console.text import brief

_MEAN_ACCURACY = re.compile(r"val-(?:core|aux)/(?P<data_set>.+)/acc/mean@\d+")
_LOSS_AGGREGATION = "actor_rollout_ref.actor.loss_agg_mode"


def mapped(
    frame: pd.DataFrame, config: Mapping[str, object], *, accuracy_is_pass: bool = True
) -> tuple[pd.DataFrame, str]:
    """Metrics under our names, and a remark on what is not what its name says, or "".

    Args:
        frame: columns step, name (categorical), value.
        config: the run's configuration, dotted keys.
        accuracy_is_pass: whether a response's accuracy is 0 or 1; with partial credit its mean is no pass@1.
    """
    frame = _with_slashes(frame)
    names = names_of(frame)
    if any(name.startswith(("qae/", "val/")) for name in names):
        # Our plug-in has logged them under our names beside verl's.
        return frame, ""
    translation = {name: metrics.pass_at(1, found["data_set"]).name for name in names if (found := _match(name))}
    if accuracy_is_pass and len(set(translation.values())) == len(translation) and translation:
        frame = frame.assign(name=frame["name"].cat.rename_categories(translation))
        if len(translation) == 1:
            frame = _with_copy(frame, next(iter(translation.values())), metrics.pass_at(1).name)
    mode = config.get(_LOSS_AGGREGATION, "token-mean")
    if mode != "token-mean" and metrics.ENTROPY.name in names:
        return frame, f"{metrics.ENTROPY.name} is averaged as its loss ({brief(mode)}), not over tokens"
    return frame, ""


def _with_slashes(frame: pd.DataFrame) -> pd.DataFrame:
    """With our names where a run has logged them as mappings, whose keys W&B joins by dots: actor.entropy."""
    names = names_of(frame)
    translation = {
        name: slashed
        for name in names
        if (slashed := name.replace(".", "/")) != name and slashed in metrics.METRICS and slashed not in names
    }
    return frame.assign(name=frame["name"].cat.rename_categories(translation)) if translation else frame


def _match(name: str) -> re.Match[str] | None:
    return _MEAN_ACCURACY.fullmatch(name)


def _with_copy(frame: pd.DataFrame, name: str, copy: str) -> pd.DataFrame:
    """With one data set, its pass@1 is the one over all problems as well."""
    rows = frame[frame["name"] == name]
    return concatenated([frame, rows.assign(name=categorical(np.zeros(len(rows), np.int64), [copy]))])
