"""A run of verl: its command in a process of its own, followed through the lines that its trainer writes.

The trainer (`qae.verl_plugin.trainer`) appends each step to the run directory before the step counts as logged. So a
kill of whatever process loses no logged step, and what is here only reads along.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from qae.nested import section
from qae.run_directory import NO_VALUES, RunDirectory, logged_steps, values_of
from sweeps import trainers
from sweeps.composition import toolkit_keys
from sweeps.composition.grammar import quoted
from sweeps.run_store.checkout import CODE
from sweeps.trainers import Lost, OnStep, TrainerKilledError, nothing_is_lost
from sweeps.verl import checkpoints, machine, overrides
from sweeps.verl.cache import with_cached

_POLL_SECONDS = 0.5
_ERROR = re.compile(r"^(?:\([^)]*\)\s*)?((?:[\w.]+\.)?\w*(?:Error|Exception)\b.*)$")
# A trainer notices at once that a machine is gone; those who watch the machines may need a moment.
_LOST_SECONDS = 5.0

# Ray, vLLM and the hub's client tell their makers how they are used; here only where the user asks for it.
_NO_USAGE_REPORTS = {"RAY_USAGE_STATS_ENABLED": "0", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


def train(
    config: Mapping[str, object],
    directory: RunDirectory,
    cache: Path,
    on_step: OnStep,
    should_stop: Callable[[], bool],
    lost: Lost = nothing_is_lost,
) -> int:
    """Run verl until the run is complete or is asked to stop; see `sweeps.trainers.Trainer.train`.

    Args:
        config: resolved, with ``backend: verl``.
        directory: the run; verl continues from the newest complete checkpoint in it.
        cache: folder for what ``cache:…`` paths name.
        on_step: called once for each step that the trainer logs.
        should_stop: asked twice a second; once true, the trainer ends after its step, with a checkpoint.
        lost: asked twice a second; once it answers, the trainer is ended at once: it would wait for what is gone.

    Returns:
        the last logged step.

    Raises:
        TrainerKilledError: verl's process was killed, or a machine that it computes on was lost.
        RuntimeError: verl failed; the last error of its log.
    """
    config = with_cached(config, cache)
    resumed = checkpoints.resume_step(directory.checkpoints, _logged(directory))
    directory.stop_request.unlink(missing_ok=True)
    lines = _NewLines(directory.metrics)
    last = resumed
    with _driver(command(config, directory, resumed), environment(config, directory)) as process:
        while True:
            ended = process.poll()
            for step, values in lines.read():
                last = step
                on_step(step, values)
            if ended is not None:
                break
            if gone := lost(0.0):
                raise TrainerKilledError(f"{gone} after step {last}")
            if should_stop():
                directory.stop_request.touch()
            time.sleep(_POLL_SECONDS)
    stopped = directory.stop_request.exists()
    directory.stop_request.unlink(missing_ok=True)
    total = trainers.of(config).total_steps(config)
    if ended == 0 and last < total:
        raise RuntimeError(f"verl ended after step {last} of {total}: trainer.total_epochs is too small for its data")
    if ended == 0:
        return last
    if stopped and last and checkpoints.resume_step(directory.checkpoints) == last:
        return last
    raise _failure(directory, ended, last, lost(_LOST_SECONDS))


def _logged(directory: RunDirectory) -> int | None:
    """The last step of the metrics; None where there is none."""
    return max((step for step, _ in logged_steps(directory)), default=None)


def command(config: Mapping[str, object], directory: RunDirectory, resumed: int) -> list[str]:
    """The process that trains: verl's `main_ppo` on the run's overrides and paths.

    Args:
        config: resolved, paths in the cache filled in.
        directory: the run.
        resumed: step of the checkpoint to continue from; 0 for none.
    """
    own: dict[str, object] = {
        "hydra.run.dir": directory.logs / "hydra",
        "hydra.output_subdir": None,
        "trainer.default_local_dir": directory.checkpoints,
        "trainer.resume_mode": "auto",
        "trainer.logger": ["console"],
        "trainer.experiment_name": directory.run_id,
        # Workers on a Ray cluster that was there before do not inherit our environment.
        f"++{toolkit_keys.RUN_DIRECTORY}": directory.path,
        f"++{toolkit_keys.MODULES}": _modules(config),
    }
    trainer = section(config, "trainer")
    for name in ("rollout_data_dir", "validation_data_dir"):
        if trainer.get(name):  # verl names the files by step, so that runs would write over one another's
            own[f"trainer.{name}"] = Path(str(trainer[name])).expanduser() / directory.run_id
    if resumed:
        own["trainer.val_before_train"] = False  # the resumed step has been evaluated; again would be other samples
    set_here = [
        f"{key}={quoted(str(value.resolve()) if isinstance(value, Path) else value)}" for key, value in own.items()
    ]
    driver = [sys.executable, "-m", "sweeps.verl.driver", str(os.getpid())]
    if machine.joins_ray(config):
        config = machine.without_ray_options(config)
    return [*driver, *overrides.verl_overrides(config), *set_here]


def environment(config: Mapping[str, object], directory: RunDirectory) -> dict[str, str]:
    """The environment of verl's processes, those of Ray included.

    Args:
        config: resolved.
        directory: the run.
    """
    variables = {
        **_NO_USAGE_REPORTS,
        **machine.without_rival_names(os.environ),
        **overrides.environment(config),
        overrides.EXTERNAL_MODULES: _modules(config),
        "QAE_RUN_DIRECTORY": str(directory.path.resolve()),
        "HYDRA_FULL_ERROR": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if machine.on_cpu(config):
        variables |= {
            "QAE_VERL_CPU": "1",
            "OMP_NUM_THREADS": str(trainers.of(config).threads(config)),
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
            "RAY_enable_open_telemetry": "0",
            # Ray would start a worker for each of the logical cores at once, on few real ones.
            "RAY_prestart_worker_first_driver": "0",
        }
    return variables


def _modules(config: Mapping[str, object]) -> str:
    """What verl's processes import first: ours, and what the configuration or the user's environment names."""
    of_the_user = os.environ.get(overrides.EXTERNAL_MODULES, "").split(",")
    listed = [*overrides.modules(config), *map(str.strip, of_the_user)]
    return ",".join(dict.fromkeys(name for name in listed if name))


@contextmanager
def _driver(arguments: list[str], variables: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Verl's process, in a session of its own so that the terminal's Ctrl-C does not reach it; gone afterwards."""
    process = subprocess.Popen(  # noqa: S603  # our own command
        arguments, env=dict(variables), start_new_session=True, cwd=CODE
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class _NewLines:
    """Metric lines as they come, from where the file ended at the start."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size if path.exists() else 0

    def read(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Steps that are new and whole, with their values."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            # The trainer cuts off a torn last line of an earlier attempt before it appends.
            self._offset = min(self._offset, file.seek(0, os.SEEK_END))
            file.seek(self._offset)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            record: dict[str, Any] = values_of(orjson.loads(line))  # as our plug-in has written it
            yield record["step"], {name: value for name, value in record.items() if name not in NO_VALUES}


def _failure(directory: RunDirectory, code: int, last: int, gone: str | None) -> RuntimeError:
    """Why the trainer ended with a code other than 0 after a step."""
    if gone:
        return TrainerKilledError(f"{gone} after step {last}")
    if code < 0:
        return TrainerKilledError(f"verl's trainer was killed by {signal.Signals(-code).name} after step {last}")
    return RuntimeError(_reason(directory, code))


def _reason(directory: RunDirectory, code: int) -> str:
    """The last error in the attempt's log."""
    text = directory.end_of_log(directory.read_state().attempt)
    found = [match[1] for line in text.splitlines() if (match := _ERROR.match(line.strip()))]
    return f"verl: {found[-1]}" if found else f"verl ended with code {code}"
