"""Runs of verl that were not started by us: its file logger's JSONL and its validation dumps.

The logger (``trainer.logger=[file]``, $VERL_FILE_LOGGER_PATH or $VERL_FILE_LOGGER_ROOT) writes a line a step,
``{"step": 3, "data": {"actor/entropy": …}}`` (verl/utils/tracking.py ``FileLogger``). With
``trainer.validation_data_dir`` verl writes ``<step>.jsonl`` at each validation, a line a sample with its prompt,
ground truth and score (verl/trainer/ppo/ray_trainer.py ``_write_generations``); counts a problem come from there.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import pandas as pd
import yaml

from analysis.naming import flatten
from analysis.runs import EVALUATION_COLUMNS, Runs
from analysis.sources.assembly import LoadedRun, assemble
from analysis.sources.metric_names import mapped
from analysis.sources.tidy import from_rows, no_metrics, updated
from qae.evaluation import ProblemResult, summarise
from qae.json_lines import read_jsonl
from qae.run_directory import RunStatus

# What a dump's sample says of its data set, where it says anything: verl dumps what the reward function returns.
_DATA_SET, _DEFAULT_DATA_SET = "data_source", "validation"


def load(source: Path, validation: Path | None = None) -> Runs:
    """Read a logger's file, a folder of them, or a folder of validation dumps.

    Args:
        source: ``<experiment>.jsonl`` or a folder; ``<experiment>.yaml`` beside it is taken as its configuration.
        validation: the run's dumps; by default the folder ``<experiment>/`` beside its file, where there is one.
    """
    notes: list[str] = []
    if source.is_dir() and dumps(source):
        return assemble([_run(source.name, None, source, {}, notes)], notes)
    files = [source] if source.is_file() else sorted(source.glob("*.jsonl"))
    loaded: list[LoadedRun] = []
    for path in files:
        beside = validation or path.with_suffix("")
        config = _config(path.with_suffix(".yaml"), notes)
        loaded.append(_run(path.stem, path, beside if dumps(beside) else None, config, notes))
    return assemble(loaded, notes)


def is_logger_file(path: Path) -> bool:
    """Whether a file begins with a line of verl's file logger."""
    with path.open("rb") as file:
        head = file.readline(4096)
    return head.startswith(b'{"step":') and b'"data":' in head


def dumps(folder: Path) -> dict[int, Path]:
    """A folder's validation dumps by step."""
    if not folder.is_dir():
        return {}
    found = {int(path.stem): path for path in folder.glob("*.jsonl") if path.stem.isdecimal()}
    return dict(sorted(found.items()))


def _run(
    run_id: str, log: Path | None, validation: Path | None, config: Mapping[str, object], notes: list[str]
) -> LoadedRun:
    metrics = no_metrics()
    if log is not None:
        metrics, remark = mapped(_metrics(log, notes), config)
        notes += [f"Run {run_id}: {remark}."] if remark else []
    results = {step: _results(path, notes) for step, path in (dumps(validation) if validation else {}).items()}
    counted = [
        (step, name, value)
        for step, found in results.items()
        if found
        for name, value in summarise(found).items()
        if math.isfinite(value)  # a dump has no lengths in tokens
    ]
    if counted:
        metrics = updated(metrics, from_rows(*zip(*counted, strict=True)))
    rows = [(step, r.data_set, r.problem, r.n, r.c, r.mean_length) for step, found in results.items() for r in found]
    # Whether the process is still there, its files do not say.
    return LoadedRun(
        run_id, config, RunStatus.RUNNING, metrics, pd.DataFrame(rows, columns=list(EVALUATION_COLUMNS[1:]))
    )


def _metrics(path: Path, notes: list[str]) -> pd.DataFrame:
    lines = read_jsonl(path)
    damaged = lines.damaged
    by_step: dict[int, dict[str, object]] = {}
    for line in lines.records:
        step, data = line.get("step"), line.get("data")
        if isinstance(step, int) and isinstance(data, dict):
            by_step.setdefault(step, {}).update(data)
        else:
            damaged += 1
    if damaged:
        notes.append(f"{path}: {_counted(damaged)} unreadable and left out.")
    rows = [
        (step, name, float(value))
        for step, data in sorted(by_step.items())
        for name, value in data.items()
        if isinstance(value, int | float)
    ]
    return from_rows(*zip(*rows, strict=True)) if rows else no_metrics()


def _results(path: Path, notes: list[str]) -> list[ProblemResult]:
    """Counts of a dump by problem; a problem is known by its prompt and answer, which are the same in every run."""
    lines = read_jsonl(path)
    if lines.damaged:
        notes.append(f"{path}: {_counted(lines.damaged)} unreadable and left out.")
    right = _right(lines.records)
    if right is None:
        notes.append(
            f"{path} is left out: its samples have no 'acc', and scores other than -1, 0 and 1 do not tell what is "
            "right."
        )
        return []
    samples: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for record, is_right in zip(lines.records, right, strict=True):
        name = hashlib.sha256(f"{record.get('input')}\0{record.get('gts')}".encode()).hexdigest()[:12]
        samples[str(record.get(_DATA_SET, _DEFAULT_DATA_SET)), name].append(is_right)
    return [
        ProblemResult(data_set, problem, len(own), sum(own), float("nan"))
        for (data_set, problem), own in sorted(samples.items())
    ]


def _right(records: Sequence[Mapping[str, object]]) -> list[bool] | None:
    accuracy = [record.get("acc") for record in records]
    if all(isinstance(value, int | float) for value in accuracy):
        return [cast("float", value) == 1 for value in accuracy]
    scores = [record.get("score") for record in records]
    return [score == 1 for score in scores] if all(score in (-1, 0, 1) for score in scores) else None


def _config(path: Path, notes: list[str]) -> dict[str, object]:
    try:
        content = yaml.safe_load(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, yaml.YAMLError) as error:
        notes.append(f"{path} cannot be read ({type(error).__name__}); its run has no configuration.")
        return {}
    return flatten(content) if isinstance(content, Mapping) else {}


def _counted(damaged: int) -> str:
    return "1 line was" if damaged == 1 else f"{damaged} lines were"
