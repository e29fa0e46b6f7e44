"""verl's validation dumps: which samples are right, counted a problem.

verl writes one line per sample with what the reward function returned (``_write_generations``), through json with
``default=str``: numpy's True is the text "True" there, a float32 1.0 the text "1.0", a missing value NaN or null. A
response is right where its accuracy is 1. Partial credit (an accuracy between 0 and 1) is not right, as in the usual
pass@k; verl's own mean@n averages it. A sample without a usable accuracy is wrong where others of its data set have
one, as in verl's own mean (``expected_acc_counts``).
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.runs.flaw import Flaw, Kind
from analysis.wording import counted_lines
from qae.evaluation import ProblemResult
from qae.files.json_lines import read_jsonl
from qae.files.numbers import number, step

# What a dump's sample says of its data set, where it says anything: verl dumps what the reward function returns.
_DATA_SET, _DEFAULT_DATA_SET = "data_source", "validation"
_CLOSE = 1e-6
Sample = Mapping[str, object]


@dataclass(frozen=True)
class Dump:
    """A dump, counted.

    Attributes:
        results: counts by problem.
        notes: sentences on what was left out.
        flaws: samples that could not be judged, or only in part.
        partial: samples with an accuracy between 0 and 1.
    """

    results: tuple[ProblemResult, ...]
    notes: tuple[str, ...]
    flaws: tuple[Flaw, ...]
    partial: int


@dataclass(frozen=True)
class _Judged:
    """Which samples of a data set are right.

    Attributes:
        right: one truth per sample.
        by: "acc" or "score".
        unknown: samples without a usable value, which count as wrong.
        partial: samples with partial credit, which count as wrong.
        mean: of the usable values of an accuracy, as verl's mean@n takes it.
    """

    right: Sequence[bool]
    by: str
    unknown: int
    partial: int
    mean: float


def count(path: Path, at_step: int) -> Dump:
    """Counts of a dump by problem; a problem is known by its prompt and answer, which are the same in every run.

    Args:
        path: the file.
        at_step: its step, which its name says.
    """
    lines = read_jsonl(path)
    notes: list[str] = []
    flaws: list[Flaw] = []
    if lines.damaged:
        notes.append(f"{path}: {counted_lines(lines.damaged)} unreadable and left out.")
    others = Counter(found for line in lines.records if (found := step(line.get("step"))) not in (None, at_step))
    if others:
        told, times = others.most_common(1)[0]
        text = f"{path.name}: {times} of its lines say step {told}; the file's name counts."
        flaws.append(Flaw(Kind.STEPS, "", text, times))
    by_data_set: dict[str, list[Sample]] = defaultdict(list)
    for line in lines.records:
        by_data_set[_data_set(line)].append(line)
    results: list[ProblemResult] = []
    partial = 0
    for data_set, samples in sorted(by_data_set.items()):
        judged, names = _judged(samples), _names(samples)
        reason = names if isinstance(names, str) else judged if isinstance(judged, str) else ""
        if isinstance(judged, str) or isinstance(names, str):
            notes.append(f"{path}: data set {data_set} is left out: {reason}.")
            continue
        results += _counted(data_set, names, judged.right)
        partial += judged.partial
        flaws += _flaws(path, data_set, len(samples), judged)
    return Dump(tuple(results), tuple(notes), tuple(flaws), partial)


def _data_set(sample: Sample) -> str:
    value = sample.get(_DATA_SET)
    return _DEFAULT_DATA_SET if value is None else str(value)


def _names(samples: Sequence[Sample]) -> list[str] | str:
    """The problem of each sample, or why it is not known."""
    keys = []
    for sample in samples:
        if sample.get("input") is not None:
            keys.append(f"{sample['input']}\0{sample.get('gts')}")
        elif sample.get("uid") is not None:
            keys.append(f"{sample['uid']}")
        else:
            return "samples have neither a prompt ('input') nor a 'uid' that tells their problem"
    return [hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:12] for key in keys]


def _judged(samples: Sequence[Sample]) -> _Judged | str:
    """Which samples are right, or why nothing tells."""
    accuracy = [_usable(sample.get("acc")) for sample in samples]
    known = [value for value in accuracy if value is not None]
    if known:
        outside = [value for value in known if not -_CLOSE <= value <= 1 + _CLOSE and value != -1]
        if outside:
            return f"an 'acc' of {outside[0]:g} is no accuracy, which lies between 0 and 1"
        partial = sum(_CLOSE < value < 1 - _CLOSE for value in known)
        mean = sum(known) / len(samples)
        return _Judged(list(map(_is_one, accuracy)), "acc", len(samples) - len(known), partial, mean)
    scores = [_usable(sample.get("score")) for sample in samples]
    found = {value for value in scores if value is not None}
    if not found or not all(value in (-1, 0, 1) for value in found):
        return "its samples have no 'acc', and scores other than -1, 0 and 1 do not tell what is right"
    return _Judged(list(map(_is_one, scores)), "score", sum(value is None for value in scores), 0, math.nan)


def _usable(value: object) -> float | None:
    found = number(value)
    return found if found is not None and math.isfinite(found) else None


def _is_one(value: float | None) -> bool:
    return value is not None and abs(value - 1) <= _CLOSE


def _counted(data_set: str, names: Sequence[str], right: Sequence[bool]) -> list[ProblemResult]:
    samples: dict[str, list[bool]] = defaultdict(list)
    for name, is_right in zip(names, right, strict=True):
        samples[name].append(is_right)
    return [ProblemResult(data_set, name, len(own), sum(own), math.nan) for name, own in sorted(samples.items())]


def _flaws(path: Path, data_set: str, size: int, judged: _Judged) -> list[Flaw]:
    found = []
    where = f"{path.name}, data set {data_set}"
    if judged.unknown:
        text = f"{where}: {judged.unknown} of {size} samples have no usable '{judged.by}' and count as wrong."
        found.append(Flaw(Kind.SAMPLES, "", text, judged.unknown))
    if judged.partial:
        text = (
            f"{where}: {judged.partial} of {size} samples have an 'acc' between 0 and 1; pass@k counts them as wrong, "
            f"verl's own mean of 'acc' is {judged.mean:.3f}."
        )
        found.append(Flaw(Kind.SAMPLES, "", text, judged.partial))
    return found
