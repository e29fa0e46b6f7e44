"""GPU hours of a run before it has run, and how finished runs correct them; docs/gpu_hours.md explains."""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import orjson

from qae.errors import ConfigError
from qae.nested import value_of
from qae.run_directory import RunDirectory, RunStatus
from sweeps import trainers
from sweeps.run_store.store import RunStore, StoreError

STEP_SECONDS = "timing_s/step"  # verl's name of the wall time of a global step
_NEWEST = 20  # finished runs to learn from
_TAIL_BYTES = 1 << 20
_TAIL_STEPS = 20


def gpu_hours(config: Mapping[str, object], steps: int, correction: float = 1.0) -> float | None:
    """GPU hours of some steps; None for runs without GPUs and models of unknown size."""
    seconds = trainers.of(config).step_gpu_seconds(config)
    return None if seconds is None else correction * seconds * steps / 3600


def step_seconds(config: Mapping[str, object], correction: float = 1.0) -> float | None:
    """Wall time of a global step; None for runs without GPUs and models of unknown size."""
    trainer = trainers.of(config)
    seconds, gpus = trainer.step_gpu_seconds(config), trainer.nodes(config) * trainer.gpus(config)
    return correction * seconds / gpus if seconds is not None and gpus else None


def corrections(store: RunStore) -> dict[str, float]:
    """By model: what finished runs needed, over what was estimated for them; the median of the newest runs.

    The factor carries over to other batch sizes, lengths and numbers of GPUs of the same model.
    """
    ratios: defaultdict[str, list[float]] = defaultdict(list)
    for directory in _newest_finished(store):
        config = _read_config(directory)
        if config is None:
            continue
        try:
            trainer = trainers.of(config)
            estimated, gpus = trainer.step_gpu_seconds(config), trainer.nodes(config) * trainer.gpus(config)
        except ConfigError:
            continue  # its trainer is not installed here
        if estimated and gpus and (seconds := _seconds_a_step(directory)):
            ratios[model(config)].append(seconds * gpus / estimated)
    return {name: median(values) for name, values in ratios.items()}


def model(config: Mapping[str, object]) -> str:
    """What runs must share for one to tell about the other: the trainer and the model trained."""
    return f"{config.get('backend')} {value_of(config, 'actor_rollout_ref.model.path')}"


def _newest_finished(store: RunStore) -> Sequence[RunDirectory]:
    done = []
    for directory in store.runs():
        try:
            state = store.state(directory)
        except StoreError:
            continue  # the plan names it where it matters
        if state.status is RunStatus.DONE:
            done.append((state.heartbeat, directory))
    return [directory for _, directory in sorted(done, key=lambda item: -item[0])[:_NEWEST]]


def _read_config(directory: RunDirectory) -> Mapping[str, object] | None:
    import yaml

    try:
        config = yaml.load(directory.config.read_bytes(), Loader=yaml.CSafeLoader)
    except (OSError, yaml.YAMLError):
        return None
    return config if isinstance(config, dict) and "backend" in config else None


def _seconds_a_step(directory: RunDirectory) -> float | None:
    """Mean wall time of the last steps on disk."""
    times = [
        float(record[STEP_SECONDS])
        for record in _last_records(directory.metrics)
        if isinstance(record.get(STEP_SECONDS), int | float)
    ][-_TAIL_STEPS:]
    return sum(times) / len(times) if times else None


def _last_records(path: Path) -> list[dict[str, float]]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().split(b"\n")[1 if size > _TAIL_BYTES else 0 :]
    except OSError:
        return []
    records = []
    for line in filter(None, lines):
        try:
            records.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            continue  # torn by a kill
    return [record for record in records if isinstance(record, dict)]
