"""GPU hours of a run before it has run, and how finished runs correct them; docs/gpu_hours.md explains."""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import orjson

from qae.checks import value_of
from qae.errors import ConfigError
from qae.run_directory import RunDirectory, RunStatus
from sweeps import trainers
from sweeps.store import RunStore, StoreError

STEP_SECONDS = "timing_s/step"  # verl's name of the wall time of a global step
_NEWEST = 20  # finished runs to learn from
_TAIL_BYTES = 1 << 20
_TAIL_STEPS = 20


@dataclass(frozen=True)
class Assumptions:
    """What the estimate takes for granted; a token costs 2N FLOPs forward and 6N forward and backward.

    Attributes:
        peak: FLOP/s of a GPU, dense bf16; 989e12 is an H100 SXM's.
        generation: share of the peak that generation reaches over a whole step, idle GPUs at its end included.
        forward: share that log-probabilities reach.
        training: share that updates reach, recomputed activations and offloading not counted as work.
        response: mean length of a response as a share of `data.max_response_length`.
        prompt: tokens of a prompt.
        kept: share of generated groups that dynamic sampling keeps.
        problems: of all validation sets together (AIME24, AIME25 and AMC23 have 30 + 30 + 40).
    """

    peak: float = 989e12
    generation: float = 0.03
    forward: float = 0.30
    training: float = 0.30
    response: float = 0.25
    prompt: int = 150
    kept: float = 0.5
    problems: int = 100


DEFAULT = Assumptions()


def step_gpu_seconds(config: Mapping[str, object], assumed: Assumptions = DEFAULT) -> float | None:
    """GPU seconds of a global step of verl, its share of the validations included.

    Args:
        config: resolved; ``resources.parameters`` is the number of parameters that a token passes.
        assumed: throughput and lengths.

    Returns:
        None where the configuration does not say how large the model is.
    """
    size = _number(config, "resources.parameters")
    if not size:
        return None
    rollout, actor = "actor_rollout_ref.rollout", "actor_rollout_ref.actor"
    responses = _number(config, "data.train_batch_size") * _number(config, f"{rollout}.n")
    generated = assumed.response * _number(config, "data.max_response_length")
    tokens = generated + assumed.prompt
    kept = assumed.kept if value_of(config, "algorithm.filter_groups.enable") else 1.0
    needs_reference = value_of(config, f"{actor}.use_kl_loss") or value_of(config, "algorithm.use_kl_in_reward")
    every = _number(config, "trainer.test_freq")
    validated = assumed.problems * _number(config, f"{rollout}.val_kwargs.n", 1) / every if every > 0 else 0.0
    flops_over_share = (
        2 * size * generated * (responses / kept + validated) / assumed.generation
        + 2 * size * tokens * responses * (2 if needs_reference else 1) / assumed.forward
        + 6 * size * tokens * responses * _number(config, f"{actor}.ppo_epochs", 1) / assumed.training
    )
    return flops_over_share / assumed.peak


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


def _number(config: Mapping[str, object], key: str, default: float = 0.0) -> float:
    value = value_of(config, key)
    return value if isinstance(value, int | float) else default
