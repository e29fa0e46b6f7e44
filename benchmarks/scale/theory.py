"""Intervals between checkpoints and times to completion in closed form.

Young (1974), A first order approximation to the optimum checkpoint interval, CACM 17. Daly (2006), A higher order
estimate of the optimum checkpoint interval for restart dumps, Future Generation Computer Systems 22. Both suppose kills
at exponential intervals.
"""

from math import exp, sqrt

from benchmarks.scale.settings import Work


def young(checkpoint: float, between_kills: float) -> float:
    """Young's interval between two checkpoints, in seconds.

    Args:
        checkpoint: seconds that one takes.
        between_kills: mean seconds between two kills.
    """
    return sqrt(2 * checkpoint * between_kills)


def daly(checkpoint: float, between_kills: float) -> float:
    """Daly's interval, his equation 37, in seconds; as `young`."""
    if checkpoint >= 2 * between_kills:
        return between_kills
    ratio = checkpoint / (2 * between_kills)
    return young(checkpoint, between_kills) * (1 + sqrt(ratio) / 3 + ratio / 9) - checkpoint


def in_steps(interval: float, step_seconds: float) -> int:
    """An interval as `trainer.save_freq`: whole steps, at least one."""
    return max(1, round(interval / step_seconds))


def completion_seconds(work: Work, save_freq: int, between_kills: float, restart_seconds: float) -> float:
    """Expected wall time of a run that is killed at exponential intervals and starts again at once.

    Each stretch of steps with its checkpoint takes M exp(R/M) (exp(L/M) - 1) seconds, as in Daly's equation 13.

    Args:
        work: the run; its time limit does not count.
        save_freq: steps between checkpoints.
        between_kills: mean seconds between two kills, M.
        restart_seconds: from a kill to the next step, R.
    """
    mean = between_kills
    whole, rest = divmod(work.steps, save_freq)
    stretches = [save_freq] * whole + ([rest] if rest else [])
    restart = mean * (exp(restart_seconds / mean) - 1)
    first = -(mean + restart) * (exp(-work.start_seconds / mean) - 1)
    lengths = [steps * work.step_seconds + work.checkpoint_seconds for steps in stretches]
    return first + sum(mean * exp(restart_seconds / mean) * (exp(length / mean) - 1) for length in lengths)
