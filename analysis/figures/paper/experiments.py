"""The experiments of the paper's figures, written from what the figures need: `make experiments`.

The words at the top of a file are its author's and stay; all else follows from `NEEDS`. The file `paper` has the runs
of all figures, each run once.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from analysis.figures import paper
from analysis.figures.paper.selection import CLIP_HIGH, FIRST_SEED, REGULARIZERS, SEEDS, Arm

OF_ALL = "paper"
_PACKAGE = "# @package _global_"
_SOURCE = "# Written by `make experiments` from NEEDS in analysis/figures/paper."
_RULES = ("quantile", "pos_mask", "neg_mask", "token_mean")
_MODELS = {False: "tabular", True: "tabular-larger"}  # by whether the figure is about the larger model
_Choice = tuple[str, object]  # an axis and its value
_DEFAULTS: tuple[_Choice, ...] = (("regularizer", "clip_higher"), ("algorithm.quantile_k", -1))
_Part = dict[str, list[object]]  # axes and their values, of which the product runs


def names() -> tuple[str, ...]:
    """Experiments of figures, and the one of all figures."""
    return (*sorted({paper.needs_of(name).experiment for name in paper.names()}), OF_ALL)


def written(name: str, text: str) -> str:
    """The file of an experiment.

    Args:
        name: of the experiment.
        text: what the file is now; a new one needs no more than its words, each line after a ``#``.
    """
    needs = [need for need in map(paper.needs_of, paper.names()) if name in (need.experiment, OF_ALL)]
    arms = {larger: [arm for need in needs if need.larger_model is larger for arm in need.arms] for larger in _MODELS}
    model = _MODELS[not arms[False]]
    parts = _parts(arms[not arms[False]] if name != OF_ALL else sorted(arms[False], key=_rank))
    if arms[False]:
        parts += [{"model": [_MODELS[True]], **part} for part in _parts(arms[True])]
    settings = [
        "defaults:",
        f"  - override /model: {model}",
        "  - _self_",
        "",
        "labels:",
        f"  experiment: {name}",
        "sweep:",
        f"  name: {name}",
        "  parts:",
        *_lines(parts),
    ]
    return "".join(f"{line}\n" for line in (_PACKAGE, *_words(text), "", _SOURCE, *settings))


def _words(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if not line.startswith("#"):
            return
        if line != _PACKAGE:
            yield line


def _parts(arms: Iterable[Arm]) -> list[_Part]:
    """Products whose union is the arms, in the order of their first arms."""
    choices = dict.fromkeys((_variant(arm), _method(arm)) for arm in arms)
    methods: dict[tuple[str, str], dict[object, list[object]]] = {}
    for (variant_axis, variant), (method_axis, method) in choices:
        methods.setdefault((variant_axis, method_axis), {}).setdefault(variant, []).append(method)
    parts: dict[tuple[_Choice, _Choice], _Part] = {}
    for (variant_axis, method_axis), by_variant in methods.items():
        alike: dict[tuple[object, ...], list[object]] = {}
        for variant, found in by_variant.items():
            alike.setdefault(tuple(found), []).append(variant)
        for values, variants in alike.items():
            first = ((variant_axis, variants[0]), (method_axis, values[0]))
            parts[first] = _without_defaults({variant_axis: variants, method_axis: list(values)})
    return [parts[choice] for choice in choices if choice in parts]


def _variant(arm: Arm) -> _Choice:
    return ("regularizer", arm.regularizer) if arm.clip_high is None else (CLIP_HIGH, arm.clip_high)


def _method(arm: Arm) -> _Choice:
    if arm.rule != "quantile":
        return "advantage", arm.rule
    return "algorithm.quantile_k", -1 if arm.k is None else arm.k


def _without_defaults(part: _Part) -> _Part:
    """The axes that say something; the last one where none does."""
    left = dict(part)
    for axis, value in _DEFAULTS:
        if len(left) > 1 and left.get(axis) == [value]:
            del left[axis]
    return left


def _rank(arm: Arm) -> tuple[bool, int, int, float]:
    """Arms of all figures in the order of their axes."""
    return (arm.clip_high is not None, [*REGULARIZERS].index(arm.regularizer), _RULES.index(arm.rule), arm.k or -1)


def _lines(parts: Sequence[_Part]) -> Iterator[str]:
    seeds = f"[{', '.join(str(seed) for seed in range(FIRST_SEED, FIRST_SEED + SEEDS))}]"
    for number, part in enumerate(parts):
        given = seeds if len(parts) == 1 else "*seeds" if number else f"&seeds {seeds}"
        values = {axis: f"[{', '.join(map(str, found))}]" for axis, found in part.items()} | {"seed": given}
        for start, (axis, text) in zip(("- ", *["  "] * len(values)), values.items(), strict=False):
            yield f"    {start}{axis}: {text}"


if __name__ == "__main__":
    for experiment in names():
        file = Path(sys.argv[1]) / f"{experiment}.yaml"
        file.write_text(written(experiment, file.read_text() if file.exists() else ""))
