"""IQM, mean, median and optimality gap as rliable defines them, with its bootstrap, vectorised.

Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (arXiv 2108.13264). Scores
are sorted once. A resample is a count of each score: its means are sums weighted by the counts, its trimmed mean is
read from the cumulative counts of the sorted scores. No resample is written out or sorted.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from analysis.statistics.intervals import CONFIDENCE, Estimate, FloatArray, table_of_values

IntArray = npt.NDArray[np.int64]

# Cells of a block of resamples: its tables stay in the second-level cache.
_BLOCK = 100_000


class Aggregate(Enum):
    """A number for a table of scores, runs × tasks."""

    IQM = "IQM"  # mean of all runs' and tasks' scores without the lowest and the highest quarter
    MEAN = "mean"  # of the tasks' means over runs
    MEDIAN = "median"  # of the tasks' means over runs
    OPTIMALITY_GAP = "optimality gap"  # by how much scores, cut at gamma, fall short of gamma on average


@dataclass(frozen=True)
class Resampling:
    """What a draw resamples.

    Attributes:
        whole_runs: a run is drawn with its scores on all tasks, as it should be where one training run is evaluated on
            all of them. Otherwise each task draws its runs by itself: rliable's way, right where every run is of one
            task, too narrow where tasks share runs.
        tasks: tasks are drawn too, as from a larger population of them; rliable's `task_bootstrap`.
    """

    whole_runs: bool = False
    tasks: bool = False


def aggregate(scores_R_T: npt.ArrayLike, which: Aggregate, *, gamma: float = 1.0) -> float:
    """An aggregate of scores, float (runs, tasks); `gamma` is the score from which the optimality gap is 0."""
    scores = table_of_values(scores_R_T)
    if which is Aggregate.IQM:
        ordered = np.sort(scores, axis=None)
        cut = ordered.size // 4
        return float(ordered[cut : ordered.size - cut].mean())
    if which is Aggregate.MEAN:
        return float(scores.mean())
    if which is Aggregate.MEDIAN:
        return float(np.median(scores.mean(axis=0)))
    return float(gamma - np.minimum(scores, gamma).mean())


def aggregate_intervals(
    scores_R_T: npt.ArrayLike,
    which: Iterable[Aggregate] = tuple(Aggregate),
    *,
    resampling: Resampling = Resampling(),
    confidence: float = CONFIDENCE,
    resamples: int = 2000,
    seed: int = 0,
    gamma: float = 1.0,
) -> dict[Aggregate, Estimate]:
    """Aggregates with percentile intervals.

    Args:
        scores_R_T: float (runs, tasks).
        which: the aggregates.
        resampling: what a draw resamples.
        confidence: nominal coverage.
        resamples: draws.
        seed: of the resampling.
        gamma: of the optimality gap.

    Raises:
        ValueError: scores are missing or not finite, or there is no resample.
    """
    scores = table_of_values(scores_R_T)
    wanted = tuple(which)
    draws = _Draws(scores, resampling, resamples, seed)
    blocks = [_block_aggregates(draws, block, wanted, gamma) for block in draws]
    tail = (1 - confidence) / 2
    ends = np.quantile(np.concatenate(blocks, axis=1), [tail, 1 - tail], axis=1)
    return {
        name: Estimate(
            aggregate(scores, name, gamma=gamma), float(low), float(high), confidence, scores.shape[1], scores.shape[0]
        )
        for name, low, high in zip(wanted, *ends, strict=True)
    }


@dataclass(frozen=True)
class _Block:
    """Some resamples.

    Attributes:
        counts: whole numbers (block, tasks, runs): how often each run is drawn for each slot of a task.
        tasks: int64 (block, tasks), the task in each slot; None where every task is in its own.
    """

    counts: npt.NDArray[np.unsignedinteger]
    tasks: IntArray | None


class _Draws:
    """Resamples of a table, block by block.

    Attributes:
        ordered: all scores, ascending.
        scores: float (tasks, runs).
    """

    def __init__(self, scores_R_T: FloatArray, resampling: Resampling, resamples: int, seed: int) -> None:
        if resamples < 1:
            raise ValueError(f"resamples={resamples} must be at least 1")
        self.runs, self.tasks = scores_R_T.shape
        self.scores: FloatArray = np.ascontiguousarray(scores_R_T.T)
        self._order = np.argsort(self.scores, axis=None)
        self.ordered: FloatArray = self.scores.ravel()[self._order]
        self._resampling, self._resamples = resampling, resamples
        self._generator = np.random.Generator(np.random.SFC64(seed))

    def __iter__(self) -> Iterator[_Block]:
        size = max(1, _BLOCK // self.ordered.size)
        for start in range(0, self._resamples, size):
            yield self._block(min(size, self._resamples - start))

    def _block(self, draws: int) -> _Block:
        slots = 1 if self._resampling.whole_runs else self.tasks
        cells = self._runs(draws * slots * self.runs).reshape(draws * slots, self.runs)
        cells += (np.arange(draws * slots) * self.runs)[:, None]
        # A byte holds these counts wherever it can: what follows reads them several times.
        counts = np.bincount(cells.ravel(), minlength=cells.size).astype(np.uint8 if self.runs < 2**8 else np.uint32)
        return _Block(
            np.broadcast_to(counts.reshape(draws, slots, self.runs), (draws, self.tasks, self.runs)),
            self._generator.integers(0, self.tasks, (draws, self.tasks)) if self._resampling.tasks else None,
        )

    def _runs(self, size: int) -> IntArray:
        """Runs drawn with replacement: int64 (size,).

        The high half of 32 random bits times the number of runs. No draw is rejected, so that the chances of two runs
        may differ by 2^-32, of which no interval knows; `Generator.integers` takes twice the time.
        """
        bits = self._generator.bit_generator.random_raw((size + 1) // 2).view(np.uint32)[:size]
        products = bits.astype(np.uint64)
        products *= np.uint64(self.runs)
        products >>= np.uint64(32)
        return products.view(np.int64)

    def task_means(self, block: _Block, ceiling: float = np.inf) -> FloatArray:
        """Mean of each slot's drawn scores, cut at the ceiling: float (block, tasks)."""
        scores = np.minimum(self.scores, ceiling)
        counts = block.counts.astype(np.float64)
        if block.tasks is None:
            sums = np.matmul(counts.transpose(1, 0, 2), scores[:, :, None])[:, :, 0].T
        else:
            sums = np.einsum("btr,btr->bt", counts, scores[block.tasks])
        return np.asarray(sums / self.runs)

    def cumulative(self, block: _Block) -> npt.NDArray[np.int32]:
        """How many drawn scores are among the j lowest: int32 (block, scores + 1), j from 0."""
        size = self.ordered.size
        counts = block.counts
        if block.tasks is not None:
            slot_of_task = block.tasks[:, None, :] == np.arange(self.tasks)[:, None]
            counts = (slot_of_task.astype(np.float64) @ counts.astype(np.float64)).astype(np.uint32)
        in_order = counts.reshape(len(counts), size).take(self._order, axis=1)
        result = np.zeros((len(counts), size + 1), dtype=np.int32)
        np.cumsum(in_order, axis=1, dtype=np.int32, out=result[:, 1:])
        return result


def _block_aggregates(draws: _Draws, block: _Block, wanted: Sequence[Aggregate], gamma: float) -> FloatArray:
    """Aggregates of a block of resamples: float (aggregates, block)."""
    needs_means = {Aggregate.MEAN, Aggregate.MEDIAN} & set(wanted)
    means = draws.task_means(block) if needs_means else np.empty((len(block.counts), 0))
    rows: list[FloatArray] = []
    for name in wanted:
        if name is Aggregate.IQM:
            rows.append(_iqm(draws, block))
        elif name is Aggregate.OPTIMALITY_GAP:
            rows.append(gamma - draws.task_means(block, gamma).mean(axis=1))
        elif name is Aggregate.MEAN:
            rows.append(means.mean(axis=1))
        else:
            rows.append(_medians(means))
    return np.array(rows)


def _medians(values: FloatArray) -> FloatArray:
    """Median of each row: numpy sorts short rows five times as fast as its own median parts them."""
    ordered = np.sort(values, axis=1)
    middle = ordered.shape[1] // 2
    return np.asarray((ordered[:, middle] + ordered[:, -1 - middle]) / 2)


def _iqm(draws: _Draws, block: _Block) -> FloatArray:
    """Trimmed mean of each resample.

    With C_j the number of drawn scores among the j lowest, cut to the kept middle, the sum of the kept scores is
    sum_j (C_j - C_{j-1}) x_j = C_N x_N - sum_{j<N} C_j (x_{j+1} - x_j).
    """
    size = draws.ordered.size
    cut = size // 4
    inner = draws.cumulative(block)[:, 1:-1]
    np.clip(inner, cut, size - cut, out=inner)
    # C_j still holds the scores cut below; shifting them out leaves the gaps' sum as it stands minus cut * range.
    gaps = np.diff(draws.ordered)
    kept = size - 2 * cut
    below = cut * (draws.ordered[-1] - draws.ordered[0])
    return np.asarray(draws.ordered[-1] - (inner @ gaps - below) / kept)
