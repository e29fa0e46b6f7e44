"""What a time limit costs a run: when Slurm warns its job, and what a plan says of it.

A warned job ends after its step with a checkpoint and queues itself again. So the warning has to hold a step. A job
that is killed instead repeats the steps since its last checkpoint.
"""

import math
import re
from dataclasses import dataclass

LEAST_WARNING_SECONDS = 120
_MOST_WARNING_SECONDS = 65_535  # sbatch(1), --signal
# An estimate is right to a factor of two (docs/gpu_hours.md), and a step with a validation is longer.
_STEP_MARGIN = 2.0
_CHECKPOINT_SECONDS = 300
_ROUNDED_TO_SECONDS = 300  # so that runs whose steps differ a little share a job array
_FEW_STEPS = 3
# Young (1974), a first order approximation to the optimum checkpoint interval: √(2 · checkpoint · time between kills);
# for a minute or two and one kill per day that is about an hour.
_GOOD_INTERVAL_SECONDS = 3_600
_LONG_INTERVAL_SECONDS = 2 * _GOOD_INTERVAL_SECONDS

# sbatch(1), --time; the groups are days, hours, minutes and seconds.
_FORMS = (
    re.compile(r"(?P<m>\d+)(?::(?P<s>\d+))?"),
    re.compile(r"(?P<h>\d+):(?P<m>\d+):(?P<s>\d+)"),
    re.compile(r"(?P<d>\d+)-(?P<h>\d+)(?::(?P<m>\d+)(?::(?P<s>\d+))?)?"),
)
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


@dataclass(frozen=True)
class Pace:
    """How fast a run goes and how often it is saved.

    Attributes:
        step_seconds: wall time of a global step, estimated or measured.
        gpus: of all its nodes.
        save_freq: global steps between two checkpoints; 0 for none.
    """

    step_seconds: float
    gpus: int
    save_freq: int


def seconds(time: str) -> int | None:
    """A time limit in seconds; None where it is in none of sbatch's forms, or zero."""
    for form in _FORMS:
        if (found := form.fullmatch(time)) is not None:
            parts = found.groupdict()
            return sum(int(parts[unit] or 0) * _SECONDS[unit] for unit in parts) or None
    return None


def warning_seconds(pace: Pace | None, limit: int | None) -> int:
    """How long before its time limit Slurm warns a job.

    Args:
        pace: of the run; None where nobody knows.
        limit: seconds; None for the partition's.

    Returns:
        seconds that hold a step and a checkpoint, but no more than half of the limit.
    """
    if pace is None:
        return LEAST_WARNING_SECONDS
    wanted = pace.step_seconds * _STEP_MARGIN + _CHECKPOINT_SECONDS
    rounded = math.ceil(wanted / _ROUNDED_TO_SECONDS) * _ROUNDED_TO_SECONDS
    return max(LEAST_WARNING_SECONDS, min(rounded, _MOST_WARNING_SECONDS, limit // 2 if limit else rounded))


def cost(pace: Pace, limit: int | None, warning: int) -> list[str]:
    """What a time limit and a kill cost, a sentence each, and what to change where that is much."""
    said = [f"A step takes about {span(pace.step_seconds)}."]
    if limit is not None:
        said.append(_cost_of_limit(pace, limit, warning))
    if pace.save_freq:
        said.append(_cost_of_kill(pace))
    else:
        said.append("A job that is killed repeats all its steps: set trainer.save_freq to write checkpoints.")
    return said


def _cost_of_kill(pace: Pace) -> str:
    steps, lost = "1 step" if pace.save_freq == 1 else f"{pace.save_freq} steps", pace.save_freq * pace.step_seconds
    sentence = f"A job that is killed repeats up to {steps}, {span(lost)} or {_hours(lost, pace)}"
    fewer = max(1, round(_GOOD_INTERVAL_SECONDS / pace.step_seconds))
    if lost > _LONG_INTERVAL_SECONDS and fewer < pace.save_freq:
        return f"{sentence}: trainer.save_freq={fewer} loses less."
    return f"{sentence} (trainer.save_freq)."


def _cost_of_limit(pace: Pace, limit: int, warning: int) -> str:
    held = (limit - warning) / pace.step_seconds
    if held < _FEW_STEPS:
        why = "so that a run spends its jobs on starting: give more with resources.walltime"
        return f"The time limit of {span(limit)} holds few of them, {why}."
    if warning < pace.step_seconds:
        why = "which holds no step, so that each limit kills the job: leave slurm.signal_seconds at null"
        return f"Slurm warns {span(warning)} before the time limit, {why}."
    ends = f"ends up to {span(warning)} early, after the step in which Slurm warns it"
    lost = f"at most {_hours(warning, pace)}, and no step is lost"
    return f"A job of {span(limit)} holds about {held:,.0f} and {ends}: {lost}."


def span(seconds: float) -> str:
    """A time in its two largest units."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    days, hours, left = minutes // 1440, minutes // 60 % 24, minutes % 60
    units = [(days, "d"), (hours, "h"), (left, "min")] if days else [(hours, "h"), (left, "min")]
    return " ".join(f"{number} {unit}" for number, unit in units[:2] if number)


def _hours(seconds: float, pace: Pace) -> str:
    hours = seconds * pace.gpus / 3600
    return f"{hours:,.1f} GPU hours" if hours < 10 else f"{hours:,.0f} GPU hours"
