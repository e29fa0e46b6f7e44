"""Runs of verl that were not started by us: its file logger's JSONL and its validation dumps.

The logger (``trainer.logger=[file]``, $VERL_FILE_LOGGER_PATH or $VERL_FILE_LOGGER_ROOT) writes one line per step,
``{"step": 3, "data": {"actor/entropy": …}}`` (verl/utils/tracking.py ``FileLogger``). With
``trainer.validation_data_dir`` verl writes ``<step>.jsonl`` at each validation, one line per sample with its prompt,
ground truth and score (verl/trainer/ppo/ray_trainer.py ``_write_generations``); counts a problem come from there.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import yaml

from analysis.runs.configuration import flatten
from analysis.runs.flaw import Flaw, Kind
from analysis.runs.flaws import rewritten, shown
from analysis.runs.frames import EVALUATION_COLUMNS, Runs
from analysis.sources.assembly import LoadedRun, assemble
from analysis.sources.lost import Lost, tidied
from analysis.sources.metric_names import mapped
from analysis.sources.tidy import from_rows, no_metrics, updated
from analysis.sources.verl.dumps import count
from analysis.wording import counted_lines
from qae.evaluation import summarise
from qae.files import numbers
from qae.files.json_lines import parse, read_jsonl
from qae.run_directory import RunStatus

# What is looked at to tell a logger's file from others.
_HEAD_BYTES, _HEAD_LINES = 1 << 18, 8


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
    """Whether a file begins with lines of verl's file logger, a torn or damaged first line among them."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    first = parse(head[: head.rfind(b"\n") + 1] or head).records[:_HEAD_LINES]
    if first:
        return any("step" in line and isinstance(line.get("data"), dict) for line in first)
    return b'"step":' in head and b'"data":' in head


def dumps(folder: Path) -> dict[int, Path]:
    """A folder's validation dumps by step."""
    if not folder.is_dir():
        return {}
    found = {int(path.stem): path for path in folder.glob("*.jsonl") if path.stem.isdecimal()}
    return dict(sorted(found.items()))


def _run(
    run_id: str, log: Path | None, validation: Path | None, config: Mapping[str, object], notes: list[str]
) -> LoadedRun:
    metrics, lost, flaws = _metrics(log, notes) if log is not None else (no_metrics(), (), [])
    dumped = {step: count(path, step) for step, path in (dumps(validation) if validation else {}).items()}
    for dump in dumped.values():
        notes += dump.notes
        flaws += dump.flaws
    # With partial credit verl's mean@n is no pass@1 and keeps its name.
    metrics, remark = mapped(metrics, config, accuracy_is_pass=not any(dump.partial for dump in dumped.values()))
    notes += [f"Run {run_id}: {remark}."] if remark else []
    results = {step: dump.results for step, dump in dumped.items()}
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
    evaluations = pd.DataFrame(rows, columns=list(EVALUATION_COLUMNS[1:]))
    # Whether the process is still there, its files do not say.
    return LoadedRun(run_id, config, RunStatus.RUNNING, metrics, evaluations, lost=lost, flaws=flaws)


def _metrics(path: Path, notes: list[str]) -> tuple[pd.DataFrame, tuple[Lost, ...], list[Flaw]]:
    lines = read_jsonl(path)
    damaged = lines.damaged
    unusable: list[object] = []
    rows: list[tuple[int, str, object]] = []
    for line in lines.records:
        data = line.get("data")
        at = numbers.step(line.get("step"))
        if not isinstance(data, dict):
            damaged += 1
        elif at is None:
            unusable.append(line.get("step"))
        else:
            rows += [(at, str(name), value) for name, value in data.items()]
    if damaged:
        notes.append(f"{path}: {counted_lines(damaged)} unreadable and left out.")
    flaws = []
    if unusable:
        text = f"{counted_lines(len(unusable))} left out: no step can be read there (first: {shown(unusable[0])})."
        flaws.append(Flaw(Kind.STEPS, "", text, len(unusable)))
    steps, names, values, lost = tidied(rows)
    repeated = rewritten(pd.DataFrame({"step": steps, "name": names, "value": values}))
    metrics = updated(no_metrics(), from_rows(steps, names, values)) if steps else no_metrics()
    return metrics, lost, [*flaws, *([repeated] if repeated else [])]


def _config(path: Path, notes: list[str]) -> dict[str, object]:
    try:
        content = yaml.safe_load(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, yaml.YAMLError) as error:
        notes.append(f"{path} cannot be read ({type(error).__name__}); its run has no configuration.")
        return {}
    return flatten(content) if isinstance(content, Mapping) else {}
