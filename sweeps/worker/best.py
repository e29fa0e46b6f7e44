"""The checkpoint of a run's best validation, kept beside those that the trainer keeps (`checkpoints.keep_best`)."""

import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import orjson

from qae import metrics
from qae.checks import is_number, is_whole
from qae.errors import ConfigError
from qae.nested import value_of
from qae.run_directory import RunDirectory, logged_steps, write_atomic
from sweeps import trainers

KEY = "checkpoints.keep_best"
_SAMPLES = "actor_rollout_ref.rollout.val_kwargs.n"
_PASS_AT = {"pass_at_1": 1, "pass_at_16": 16}  # that validations log
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Best:
    """What ``best_checkpoint/validation.json`` says.

    Attributes:
        step: global step of the checkpoint.
        metric: name of the metric that chose it.
        value: of the metric at that step.
    """

    step: int
    metric: str
    value: float


def wanted(config: Mapping[str, object]) -> int | None:
    """Which k of pass@k chooses; None where no checkpoint is kept for its validation.

    Raises:
        ConfigError: names the key, the value and the fix.
    """
    choice = value_of(config, KEY)
    if choice is None:
        return None
    if not isinstance(choice, str) or choice not in _PASS_AT:
        raise ConfigError(KEY, choice, f"give {' or '.join(_PASS_AT)}, or null to keep none")
    return _PASS_AT[choice]


def check(config: Mapping[str, object]) -> None:
    """Refuse a choice that would never keep a checkpoint.

    Raises:
        ConfigError: names the key, the value and the fix.
    """
    k = wanted(config)
    if k is None:
        return
    for key in ("trainer.save_freq", "trainer.test_freq"):
        frequency = value_of(config, key)
        if not is_whole(frequency) or frequency < 1:
            raise ConfigError(key, frequency, f"{KEY} needs checkpoints and validations; give a number of steps")
    samples = value_of(config, _SAMPLES)
    if is_number(samples) and samples < k:
        raise ConfigError(KEY, f"pass_at_{k}", f"{_SAMPLES} is {samples}, and pass@{k} needs {k} samples; give more")


class BestCheckpoint:
    """Keeps the checkpoint of the best validation so far; the earlier one where two are equal.

    Args:
        config: of the run, resolved.
        directory: of the run; validations of earlier attempts are read from it.
    """

    def __init__(self, config: Mapping[str, object], directory: RunDirectory) -> None:
        self._directory = directory
        self._trainer = trainers.of(config)
        k = wanted(config)
        self._metric = None if k is None else metrics.pass_at(k).name
        self._best = read(directory) if self._metric else None
        if self._best and self._best.metric != self._metric:
            self._best = None
        # Validations whose checkpoint may still come: a trainer may write it after it has logged the step.
        self._values: dict[int, float] = {}
        if self._metric:
            for step, values in logged_steps(directory):
                self._note(step, values)

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Look at a step that was logged, and at the checkpoints that have come since."""
        self._note(step, values)
        self.look()

    def look(self) -> None:
        """Keep the best of the checkpoints that are complete and validated."""
        if not self._values:
            return
        complete = self._trainer.checkpoints(self._directory.checkpoints)
        for step in sorted(set(complete) & set(self._values)):
            value = self._values.pop(step)
            if self._best is None or value > self._best.value:
                self._keep(complete[step], step, value)
        newest = max(complete, default=0)
        self._values = {step: value for step, value in self._values.items() if step > newest}

    def _note(self, step: int, values: Mapping[str, object]) -> None:
        value = values.get(self._metric) if self._metric else None
        if is_number(value) and isfinite(value) and (self._best is None or step > self._best.step):
            self._values[step] = value

    def _keep(self, checkpoint: Path, step: int, value: float) -> None:
        assert self._metric is not None  # noqa: S101  # only its values come here
        folder = self._directory.best_checkpoint
        target = folder / checkpoint.name
        try:
            folder.mkdir(exist_ok=True)
            _remove(target)
            copy(checkpoint, target)
        except OSError as error:
            _log.warning("the checkpoint of step %d is the best so far and cannot be kept: %s", step, error)
            _remove(target)
            return
        best = Best(step, self._metric, value)
        write_atomic(_record(self._directory), orjson.dumps(vars(best)))
        self._best = best
        for other in folder.iterdir():
            if other not in (target, _record(self._directory)):
                _remove(other)


def read(directory: RunDirectory) -> Best | None:
    """Which checkpoint a run keeps for its validation; None where it keeps none."""
    found = recorded(directory)
    if isinstance(found, str):
        _log.warning("%s/%s; the next validation counts as the best", directory.best_checkpoint, found)
        return None
    return found


def recorded(directory: RunDirectory) -> Best | str | None:
    """What the record of the best checkpoint says: None where there is none, a sentence where it holds something else.

    Raises:
        OSError: the record is there and cannot be read.
    """
    path = _record(directory)
    try:
        content = orjson.loads(path.read_bytes())
        return Best(int(content["step"]), str(content["metric"]), float(content["value"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        return f"{path.name} cannot be read ({error!r})"


def copy(source: Path, target: Path) -> None:
    """The same files under another name where the file system can, else copies; checkpoints are never written over.

    Args:
        source: a checkpoint, file or folder.
        target: its new name, which nothing has.

    Raises:
        OSError: a file is gone, or cannot be read or written.
    """
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link_or_copy)
    else:
        _link_or_copy(str(source), str(target))


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copy2(source, target)


def _record(directory: RunDirectory) -> Path:
    return directory.best_checkpoint / "validation.json"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
